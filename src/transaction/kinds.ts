import type { Change, ChangeHost, ChangeKind, ChangeRecord } from './change.ts'
import {
  discard,
  makeDirectory,
  makeSymlink,
  removeFile,
  rename,
  replaceFile,
  replaceSymlink,
  writeFile,
} from './files.ts'
import { removeEmpty } from './made-path.ts'
import { createTmpfiles, load, mount, reload, removeTmpfiles, stop, unitState, unmount } from './units.ts'
import { closeFolder, placeVolume } from './volumes.ts'

const kinds: { readonly [Kind in Change['kind']]: ChangeKind<Kind> } = {
  'write-file': writeFile,
  'replace-file': replaceFile,
  'make-symlink': makeSymlink,
  'replace-symlink': replaceSymlink,
  'make-directory': makeDirectory,
  'remove-file': removeFile,
  'remove-empty': removeEmpty,
  rename,
  discard,
  'place-volume': placeVolume,
  'close-folder': closeFolder,
  reload,
  load,
  'unit-state': unitState,
  stop,
  mount,
  unmount,
  'create-tmpfiles': createTmpfiles,
  'remove-tmpfiles': removeTmpfiles,
}

/** Looks whether a change can be made, and tells what the journal has to hold of it. */
export async function prepareChange(change: Change, host: ChangeHost): Promise<ChangeRecord> {
  return await kindOf(change).prepare(change, host)
}

export async function makeChange(change: Change, record: ChangeRecord, host: ChangeHost): Promise<void> {
  await kindOf(change).apply(change, record, host)
}

/**
 * Puts back what a change did, wholly, partly or not at all. May be repeated: a change that was undone, or never made,
 * is left alone.
 */
export async function undoChange(
  record: ChangeRecord,
  host: ChangeHost,
  containers: readonly string[] = [],
): Promise<void> {
  await kindOf(record).undo?.(record, host, containers)
}

/** Does what could not have been undone, after the commit. May be repeated. */
export async function finishChange(record: ChangeRecord, host: ChangeHost): Promise<void> {
  await kindOf(record).finish?.(record, host)
}

/** Whether this version knows how to undo and finish a record. */
export function isKnownKind(kind: string): boolean {
  return Object.hasOwn(kinds, kind)
}

/** The table gives every kind its own types; the compiler cannot follow that through a look-up. */
interface AnyKind {
  prepare(change: Change, host: ChangeHost): Promise<ChangeRecord> | ChangeRecord
  apply(change: Change, record: ChangeRecord, host: ChangeHost): Promise<void> | void
  undo?(record: ChangeRecord, host: ChangeHost, containers: readonly string[]): Promise<void> | void
  finish?(record: ChangeRecord, host: ChangeHost): Promise<void> | void
}

function kindOf({ kind }: { readonly kind: Change['kind'] }): AnyKind {
  return kinds[kind] as AnyKind
}
