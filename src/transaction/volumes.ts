import { createHash } from 'node:crypto'
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { namesIn } from '../host/folder-entries.ts'
import { removeTree } from '../host/remove-tree.ts'
import { renameExclusive } from '../host/system-calls.ts'
import type { ChangeKind } from './change.ts'
import { isPresent } from './files.ts'

/**
 * Puts a staged volume into its place, where there is nothing or an empty folder. Undoing takes it away again, unless
 * somebody has written to it: then it is somebody's data.
 *
 * @throws ForerunError `host-file` when something has come to lie, or to be mounted, there.
 */
export const placeVolume: ChangeKind<'place-volume'> = {
  prepare({ staged, path }) {
    const status = lstatSync(path, { throwIfNoEntry: false })
    const before = status && { mode: status.mode & 0o7777, uid: status.uid, gid: status.gid }
    return { kind: 'place-volume', staged, path, ...(before && { before }), content: contentOf(staged) }
  },
  apply({ staged, path }) {
    try {
      renameSync(staged, path)
    } catch (cause) {
      throw new ForerunError('host-file', `the volume '${path}' cannot be made: ${(cause as Error).message}`, {
        cause,
        hint: `See what lies at '${path}', or is mounted there.`,
      })
    }
  },
  undo({ staged, path, before, content }, host) {
    if (!isPresent(staged)) {
      if (!isPresent(path)) return
      if (contentOf(path) !== content) {
        host.emit({ type: 'notice', message: `Kept ${path}, which has been written to.` })
        return
      }
      // What it was staged in may have been cleaned up by then.
      mkdirSync(dirname(staged), { recursive: true, mode: 0o700 })
      renameExclusive(path, staged)
    }
    if (before === undefined) return
    if (!isPresent(path)) mkdirSync(path, { mode: 0o700 })
    chownSync(path, before.uid, before.gid)
    chmodSync(path, before.mode)
  },
}

/** Lets nobody but its owner into a folder that is there. */
export const closeFolder: ChangeKind<'close-folder'> = {
  prepare: ({ path }) => ({ kind: 'close-folder', path, mode: lstatSync(path).mode & 0o7777 }),
  apply: ({ path }) => chmodSync(path, 0o700),
  undo({ path, mode }) {
    if (isPresent(path)) chmodSync(path, mode)
  },
}

/** Prefix of folders, beside the folders of volumes, in which new volumes wait. */
export const stagedVolumesPrefix = '.forerun-volumes-'

/** Removes what a command that was killed has staged in a folder. */
export async function removeStagedVolumes(folder: string, emit: Emit): Promise<void> {
  for (const name of namesIn(folder)) {
    if (!name.startsWith(stagedVolumesPrefix)) continue
    const left = await removeTree(join(folder, name))
    if (left !== undefined) emit({ type: 'notice', message: `${join(folder, name)} ${left}` })
  }
}

/** What every write to a folder, or to something in it, changes. Its own time of change is left out: renaming it sets that. */
function contentOf(folder: string): string {
  const hash = createHash('sha256')
  const add = (path: string, name: string): void => {
    const status = lstatSync(path, { bigint: true })
    const { ino, mode, uid, gid, size, mtimeNs, ctimeNs } = status
    hash.update(`${[name, ino, mode, uid, gid, size, mtimeNs, name === '' ? '' : ctimeNs].join('\0')}\n`)
    if (!status.isDirectory()) return
    for (const child of readdirSync(path).sort()) add(`${path}/${child}`, `${name}/${child}`)
  }
  add(folder, '')
  return hash.digest('hex')
}
