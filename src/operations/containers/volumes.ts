import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ServiceBundle } from '../../bundle/bundle.ts'
import type { Volume } from '../../bundle/volumes.ts'
import { ForerunError } from '../../errors.ts'
import { syncFileSystemOf } from '../../host/durable-file.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { removeTree } from '../../host/remove-tree.ts'
import { run } from '../../host/run.ts'
import { applyMetadata } from '../../store/metadata.ts'
import type { Change } from '../../transaction/change.ts'
import { removeStagedVolumes, stagedVolumesPrefix } from '../../transaction/volumes.ts'
import { byteString } from '../../tree/entry.ts'
import { resolvePath } from '../../tree/resolve.ts'
import { checkOutInThreads } from '../../workers/check-out-in-threads.ts'
import type { Context } from '../context.ts'
import type { InstallableImage } from './installable-image.ts'

/** Volumes that wait for the transaction that puts them into their places. Disposing removes those that are not there. */
export interface StagedVolumes extends AsyncDisposable {
  /** To be made when the folder of the volumes is there. */
  readonly changes: readonly Change[]
}

/**
 * Makes the volumes that are new, beside their places and filled from the image, with owners, modes and extended
 * attributes. One that holds something already is left as it is. The host must be locked.
 *
 * @throws ForerunError `host-file` where others than root could reach the volumes, or something lies in their place.
 */
export async function stageVolumes(
  service: ServiceBundle | undefined,
  image: InstallableImage,
  context: Context,
): Promise<StagedVolumes> {
  if (service === undefined || service.volumes.length === 0) return { changes: [], async [Symbol.asyncDispose]() {} }
  const { volumes, volumesFolder } = service
  const beside = nearestFolder(volumesFolder)
  const closing = refuseOpenFolder(volumesFolder, beside, volumes)
    ? [{ kind: 'close-folder', path: volumesFolder } as const]
    : []
  const empty = volumes.filter((volume) => isToBeFilled(volume, context))
  await removeStagedVolumes(beside, context.emit)
  const folder = mkdtempSync(join(beside, stagedVolumesPrefix))
  const dispose = async (): Promise<void> => {
    const left = await removeTree(folder)
    if (left !== undefined) context.emit({ type: 'notice', message: `${folder} ${left}` })
  }
  try {
    const changes: Change[] = []
    for (const volume of empty) {
      const staged = join(folder, basename(volume.source))
      await fill(staged, volume, image, context)
      changes.push({ kind: 'place-volume', staged, path: volume.source })
    }
    syncFileSystemOf(folder)
    return { changes: [...closing, ...changes], [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw namingFullDisk(error, beside)
  }
}

function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path))
}

/**
 * Whoever may change a name on the way to a volume could have the runtime mount another folder of the host, and whoever
 * may enter the folder of the volumes can run set-uid files that a container made there.
 *
 * @returns whether the folder, which holds volumes alone, has yet to be closed to others.
 */
function refuseOpenFolder(folder: string, nearest: string, volumes: readonly Volume[]): boolean {
  for (let above = realpathSync(nearest); ; above = dirname(above)) {
    const { uid, mode } = statSync(above)
    if (uid !== 0 || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)) {
      throw new ForerunError(
        'host-file',
        `the volumes cannot lie in '${folder}': others than root may change '${above}'`,
        {
          hint: 'Set STATE_DIRECTORY to another folder, or choose another name with --name.',
        },
      )
    }
    if (above === '/') break
  }
  if (nearest !== folder || (statSync(folder).mode & 0o077) === 0) return false
  const names = new Set(volumes.map(({ source }) => basename(source)))
  const other = readdirSync(folder).find((name) => !names.has(name) && !name.startsWith(stagedVolumesPrefix))
  if (other === undefined) return true
  throw new ForerunError(
    'host-file',
    `the volumes cannot lie in '${folder}', which others than root may enter, and which has '${other}' for other uses`,
    { hint: `Close it (chmod 0700 ${folder}), or choose another name with --name.` },
  )
}

/** @throws ForerunError `host-file` when a file is in its place. */
function isToBeFilled({ source }: Volume, { emit }: Context): boolean {
  const status = statSync(source, { throwIfNoEntry: false })
  if (status === undefined) return true
  if (!status.isDirectory()) {
    throw new ForerunError('host-file', `'${source}' is in the way: it is not a folder, and has to be one`, {
      hint: 'Move it away.',
    })
  }
  if (readdirSync(source).length > 0) return false
  const isOwnFolder = !lstatSync(source).isSymbolicLink() && status.dev === statSync(dirname(source)).dev
  if (!isOwnFolder) {
    emit({ type: 'notice', message: `${source} lies on another place or file system: it is not filled from the image` })
  }
  return isOwnFolder
}

async function fill(staged: string, volume: Volume, image: InstallableImage, context: Context): Promise<void> {
  const node = resolvePath(image.tree, byteString(volume.destination))
  if (node?.kind !== 'directory') {
    mkdirSync(staged)
    const { mode, uid, gid } = volume
    applyMetadata(byteString(staged), { mode, uid, gid, mtime: now(), xattrs: new Map() }, { symlink: false })
  } else if (image.rootfs === undefined) {
    // By files of its own, since the container may write to them.
    await checkOutInThreads(context.paths.store, node, { target: staged, method: 'auto', shared: false }, context)
  } else await copyTree(join(image.rootfs, volume.destination), staged, context)
}

function now(): { seconds: number; nanoseconds: number } {
  return { seconds: Math.floor(Date.now() / 1000), nanoseconds: 0 }
}

async function copyTree(from: string, to: string, { signal }: Context): Promise<void> {
  const words = ['--archive', '--reflink=auto', '--no-target-directory', '--', from, to]
  const { status, stderr } = await run('cp', words, { signal, timeout: 3_600_000 })
  if (status === 0) return
  throw new ForerunError('rootfs', `cannot copy '${from}' to a volume: ${stderr.trim().split('\n')[0]}`, {
    hint: 'See whether the folder given with --rootfs can be read.',
  })
}
