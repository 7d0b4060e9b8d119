import { realpathSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import { unmountPoint } from '../../host/mount-tree.ts'
import { type MountedTree, readMountFolders, readMounts } from '../../store/mount-record.ts'
import type { Context } from '../context.ts'
import { removeLeftMounts, removeMountFolder } from '../left-mounts.ts'
import { lockHost } from '../lock-host.ts'
import { absentDirectory } from './mount-point.ts'

/**
 * Ends what `mount` has mounted at a directory, and removes what it needed.
 *
 * @throws ForerunError `mount` where that is not what is mounted there, or it is in use.
 */
export async function unmount(directory: string, context: Context): Promise<MountedTree> {
  using _host = await lockHost(`umount ${directory}`, context)
  await removeLeftMounts(context)
  const point = realPath(directory)
  const found = readMountFolders(context.paths.store).find(
    ({ tree, state }) => tree?.directory === point && state !== 'gone',
  )
  if (found?.tree === undefined) {
    throw new ForerunError('mount', `forerun has mounted nothing at '${point}'`, {
      hint: 'List what it has mounted: forerun mount. What others have is unmounted with umount(8).',
    })
  }
  if (found.state === 'covered') {
    throw new ForerunError('mount', `something else is mounted over '${point}'`, {
      hint: `See what it is, and unmount it first: findmnt '${point}'`,
    })
  }
  await unmountPoint(point)
  await removeMountFolder(found.path, context)
  return found.tree
}

/** What is mounted, by directory. */
export function listMounts({ paths }: Context): MountedTree[] {
  return readMounts(paths.store)
}

function realPath(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw absentDirectory(directory, cause)
  }
}
