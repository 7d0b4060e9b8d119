import type { ChangeHost, ChangeRecord } from './change.ts'
import {
  finishRemoveEmpty,
  finishRemoveFile,
  finishRename,
  undoMakeDirectory,
  undoMakeSymlink,
  undoRemoveFile,
  undoRename,
  undoWriteFile,
} from './files.ts'
import {
  finishRemoveTmpfiles,
  finishStop,
  undoCreateTmpfiles,
  undoDisable,
  undoEnable,
  undoMount,
  undoReload,
  undoStart,
  undoStop,
  undoUnmount,
} from './units.ts'

/**
 * Puts back what a change did, wholly, partly or not at all. May be repeated: a change that was undone, or never made,
 * is left alone.
 */
export async function undoChange(record: ChangeRecord, host: ChangeHost): Promise<void> {
  switch (record.kind) {
    case 'write-file':
      return undoWriteFile(record, host)
    case 'make-symlink':
      return undoMakeSymlink(record)
    case 'make-directory':
      return undoMakeDirectory(record)
    case 'remove-file':
      return undoRemoveFile(record)
    case 'rename':
      return undoRename(record)
    case 'reload':
      return undoReload(record, host)
    case 'enable':
      return undoEnable(record, host)
    case 'disable':
      return undoDisable(record, host)
    case 'start':
      return undoStart(record, host)
    case 'stop':
      return undoStop(record, host)
    case 'mount':
      return undoMount(record, host)
    case 'unmount':
      return undoUnmount(record, host)
    case 'create-tmpfiles':
      return undoCreateTmpfiles(record, host)
    case 'remove-empty':
    case 'remove-tmpfiles':
      return
  }
}

/** Does what could not have been undone, after the commit. May be repeated. */
export async function finishChange(record: ChangeRecord, host: ChangeHost): Promise<void> {
  switch (record.kind) {
    case 'remove-file':
      return finishRemoveFile(record)
    case 'remove-empty':
      return finishRemoveEmpty(record, host)
    case 'rename':
      return finishRename(record)
    case 'stop':
      return finishStop(record, host)
    case 'remove-tmpfiles':
      return finishRemoveTmpfiles(record, host)
    default:
      return
  }
}
