import { realpathSync, rmdirSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { unmountPoint } from '../host/mount-tree.ts'
import { isMountedSomewhere, mountsAt } from '../host/mounts.ts'
import { removeTree } from '../host/remove-tree.ts'
import { boundPath, type MountFolder, mountsFolder, readMountFolders } from '../store/mount-record.ts'
import type { Context } from './context.ts'

/**
 * Removes the folders of mounts that are no more: ended by umount(8) or a reboot; and undoes those whose command was killed.
 * What is mounted, wherever it was moved to and whoever sees it, stays. The host must be locked.
 */
export async function removeLeftMounts(context: Context): Promise<void> {
  const folders = readMountFolders(context.paths.store)
  for (const folder of folders) if (isLeft(folder)) await removeLeftMount(folder, context)
  if (folders.length > 0) removeIfEmpty(mountsFolder(context.paths.store))
}

/** Removes the folder of one that has just been ended, or could not be mounted. The host must be locked. */
export async function removeMountFolder(path: string, context: Context): Promise<void> {
  const folder = readMountFolders(context.paths.store).find((each) => each.path === path)
  if (folder !== undefined) await removeLeftMount(folder, context)
  removeIfEmpty(mountsFolder(context.paths.store))
}

function isLeft({ isComplete, state }: MountFolder): boolean {
  return state === 'gone' || (state === 'mounted' && !isComplete)
}

async function removeLeftMount(folder: MountFolder, { emit }: Context): Promise<void> {
  const { name, path, tree, state } = folder
  try {
    if (state === 'mounted' && tree !== undefined) await unmountPoint(tree.directory)
    const bound = boundPath(realpathSync(path))
    if (mountsAt(bound) > 0) await unmountPoint(bound)
  } catch (error) {
    // Somebody has gone into it since: the next command tries again.
    if (!(error instanceof ForerunError) || error.code !== 'mount') throw error
    emit({ type: 'notice', message: `A mount that was not completed stays: ${error.message}` })
    return
  }
  if (isMountedSomewhere(name)) return
  const left = await removeTree(path)
  if (left !== undefined) emit({ type: 'notice', message: `${path} ${left}` })
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
