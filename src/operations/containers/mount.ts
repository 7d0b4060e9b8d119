import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { bindToOpenFolder, mountReadOnly, type Tree, unmountPoint } from '../../host/mount-tree.ts'
import { mountsAt } from '../../host/mounts.ts'
import { containerNames, type Deployment } from '../../store/deployment.ts'
import {
  boundPath,
  completeMount,
  type MountedTree,
  makeMountFolder,
  mountedRootPath,
  recordMount,
} from '../../store/mount-record.ts'
import { checkOutInThreads } from '../../workers/check-out-in-threads.ts'
import type { Context, SourceOptions } from '../context.ts'
import { removeLeftMounts, removeMountFolder } from '../left-mounts.ts'
import { lockHost } from '../lock-host.ts'
import { lockedImage } from './locked-image.ts'
import { openMountPoint } from './mount-point.ts'
import { type MountableImage, pulledMountableImage, storedMountableImage } from './mountable-image.ts'
import { requireDeployment } from './service.ts'

export interface MountRequest extends SourceOptions {
  /** A container's name; else an image, as for `install`, or the id of a stored one. */
  readonly source: string
  /** An empty directory. */
  readonly directory: string
}

/**
 * Mounts the root of a container, or the files of an image, read-only at a directory, for looking at them; set-uid programs
 * give no privileges there, and devices are closed. An image that is not stored is pulled.
 *
 * @throws ForerunError `mount` when the directory is not fit for it, or mount(8) fails.
 */
export async function mount({ source, directory, ...options }: MountRequest, context: Context): Promise<MountedTree> {
  // Before anything is fetched, so that nobody waits for it in vain; it is looked at again.
  openMountPoint(directory, context)[Symbol.dispose]()
  const title = `mount ${source}`
  if (containerNames(context.paths.containers).includes(source)) {
    using _host = await lockHost(title, context)
    await removeLeftMounts(context)
    return await mountContainer(requireDeployment(source, context), directory, context)
  }
  const find = {
    stored: async () => storedMountableImage(source, context),
    fetched: () => pulledMountableImage(source, options, context),
  }
  using locked = await lockedImage<MountableImage>(title, find, context)
  using _host = await lockHost(title, context)
  await removeLeftMounts(context)
  return await mountImage(locked.image, directory, context)
}

async function mountContainer(deployment: Deployment, directory: string, context: Context): Promise<MountedTree> {
  const tree = rootOf(deployment)
  const told = { kind: 'container', source: deployment.name, imageId: deployment.info.revision } as const
  return await mountTree(told, directory, { context, treeFor: async () => tree })
}

async function mountImage(image: MountableImage, directory: string, context: Context): Promise<MountedTree> {
  const treeFor = async (folder: string): Promise<Tree> => {
    context.emit({ type: 'step', message: `Making the checkout of ${image.name}` })
    const path = mountedRootPath(folder)
    // Nobody can write to them where they are mounted.
    const shared = { method: 'auto', shared: true } as const
    await checkOutInThreads(context.paths.store, image.tree, { target: path, ...shared }, context)
    return { kind: 'folder', path }
  }
  return await mountTree({ kind: 'image', source: image.name, imageId: image.id }, directory, { context, treeFor })
}

/**
 * First out of reach of others, then at the directory, so that nothing can be written there at any time. Until the last step
 * it counts as left by a command that was killed.
 *
 * @param options.treeFor what is to be mounted; it may make that in the folder that it is given.
 */
async function mountTree(
  told: Omit<MountedTree, 'directory'>,
  directory: string,
  { context, treeFor }: { context: Context; treeFor: (folder: string) => Promise<Tree> },
): Promise<MountedTree> {
  using point = openMountPoint(directory, context)
  const mounted = { ...told, directory: point.path }
  const folder = makeMountFolder(context.paths.store)
  try {
    const tree = await treeFor(folder)
    await mountReadOnly(tree, boundPath(folder))
    recordMount(folder, mounted)
    if (context.signal.aborted) throw new ForerunError('interrupted', 'interrupted before it was mounted')
    await bindToOpenFolder(boundPath(folder), point.fd)
    await unmountPoint(boundPath(realpathSync(folder)))
    completeMount(folder)
    return mounted
  } catch (error) {
    await removeMountFolder(folder, context)
    throw namingFullDisk(error, context.paths.store)
  }
}

/** @throws ForerunError `mount` for a container that has no root. */
function rootOf({ name, folder, info }: Deployment): Tree {
  if (!info['has-container-service']) {
    throw new ForerunError('mount', `${name} has no root: its image only puts files on the host`, {
      hint: `Mount the image: forerun mount ${info.image} DIR`,
    })
  }
  const root = join(folder, 'rootfs')
  if (statSync(root, { throwIfNoEntry: false }) === undefined) {
    throw new ForerunError('rootfs', `the root of ${name} is not there: '${info.remote ?? root}'`, {
      hint: 'Put the folder back that --rootfs named, or install the container anew.',
    })
  }
  const path = realpathSync(root)
  const { overlay } = info.forerun
  if (overlay === undefined || mountsAt(path) > 0) return { kind: 'folder', path }
  return { kind: 'overlay', deployment: realpathSync(folder), overlay: overlay.kind }
}
