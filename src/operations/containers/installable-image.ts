import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageFiles } from '../../bundle/image-files.ts'
import { ForerunError } from '../../errors.ts'
import { type ImageConfiguration, parseImageConfiguration } from '../../image/configuration.ts'
import { formatFullLocation, type ImageLocation, parseLocation, spelledRepository } from '../../image/location.ts'
import { parsePlatform, runsOn } from '../../image/platform.ts'
import { formatReference } from '../../image/reference.ts'
import type { DeploymentInfo } from '../../store/deployment.ts'
import { findImages, openImage, type WholeImage, wholeImage } from '../../store/image.ts'
import { type ImageRecord, readImageIndex } from '../../store/image-index.ts'
import { objectPath } from '../../store/object.ts'
import { scanTree } from '../../store/scan-tree.ts'
import { pathBytes } from '../../tree/entry.ts'
import type { DirectoryNode, FileNode } from '../../tree/node.ts'
import type { Context, SourceOptions } from '../context.ts'
import { labelOf } from '../images/images.ts'
import { neededAcceptance } from '../lookup/accept-image.ts'
import { treeFiles } from '../lookup/tree-files.ts'
import { type PulledImage, pullImage } from '../transfer/pull.ts'

/** An image whose files can be read, as `install` needs it. */
export interface InstallableImage {
  /** Full name. */
  readonly name: string
  /** The image's id; empty for `--rootfs` with an image that is not stored. */
  readonly id: string
  /** Digest of the manifest; empty likewise. */
  readonly manifest: string
  readonly configuration: ImageConfiguration
  readonly files: ImageFiles
  /** Where the content of a file of the tree lies on the disk. */
  readonly pathOf: (file: FileNode) => string | Buffer
  readonly tree: DirectoryNode
  /** The folder of `--rootfs`; undefined: a checkout is to be made of the tree. */
  readonly rootfs: string | undefined
}

/** An image that says of itself that it is to be run once (label `atomic.run=once`), where a service was to be made of it. */
export class RunOnceImage extends ForerunError {
  constructor(name: string) {
    super('not-an-image', `'${name}' is to be run once (label atomic.run=once), and is no service`, {
      hint: `Run it: forerun run ${name}`,
    })
  }
}

interface Wanted {
  /** Whether an image may be one that is to be run once; default no. */
  readonly runsOnce?: boolean
  readonly location: ImageLocation
  readonly sourceOptions: SourceOptions
  readonly rootfs: string | undefined
}

interface FoundImage {
  readonly record: PulledImage
  readonly image: WholeImage
}

/** From the store, pulled when it is not there or damaged; or the tree of `--rootfs`, without pulling. */
export async function installableImage(wanted: Wanted, context: Context): Promise<InstallableImage> {
  return (
    (await storedInstallableImage(wanted, context)) ?? installable(await pulledImage(wanted, context), context, wanted)
  )
}

/** As `installableImage`, as its registry has it now. */
export async function newestImage(wanted: Wanted, context: Context): Promise<InstallableImage> {
  if (wanted.rootfs !== undefined) return existingTree(wanted.rootfs, wanted.location, context)
  return installable(await pulledImage(wanted, context), context)
}

/** The very image that a deployment is of; undefined when the store does not have it whole any more. */
export function deployedImage(info: DeploymentInfo, context: Context): InstallableImage | undefined {
  const { store } = context.paths
  const record = deployedRecord(info, store)
  const image = record && wholeImage(store, record)
  return record && image && installable({ record: { ...record, name: info.image }, image }, context)
}

/** What the store knows of the image of a deployment. */
export function deployedRecord({ forerun }: DeploymentInfo, store: string): ImageRecord | undefined {
  return readImageIndex(store).find(({ manifest }) => manifest === forerun.manifest)
}

/** As `installableImage`; undefined when it has to be pulled. */
export async function storedInstallableImage(wanted: Wanted, context: Context): Promise<InstallableImage | undefined> {
  if (wanted.rootfs !== undefined) return existingTree(wanted.rootfs, wanted.location, context)
  const found = await storedImage(wanted, context)
  return found && installable(found, context, wanted)
}

function installable(
  { record, image }: FoundImage,
  { paths: { store } }: Context,
  { runsOnce = false }: Pick<Wanted, 'runsOnce'> = {},
): InstallableImage {
  const { configuration, tree } = image
  if (!runsOnce && labelOf(configuration.config.labels, 'atomic.run') === 'once') {
    throw new RunOnceImage(record.name)
  }
  const pathOf = (file: FileNode): string => objectPath(store, file.object)
  return {
    name: record.name,
    id: record.id,
    manifest: record.manifest,
    configuration,
    files: treeFiles(tree, pathOf),
    pathOf,
    tree,
    rootfs: undefined,
  }
}

async function pulledImage({ location, sourceOptions }: Wanted, context: Context): Promise<FoundImage> {
  const { record, stored } = await pullImage(
    location,
    { ...sourceOptions, spelling: spelledRepository(location) },
    context,
  )
  const image = wholeImage(context.paths.store, record, stored)
  if (image === undefined) throw new Error(`${record.manifest} was pulled and is not whole`)
  return { record, image }
}

/** The store itself when it has the image, whole, or needs none, else a folder that is removed when disposed of. */
export async function throwawayStore(wanted: Wanted, context: Context): Promise<{ path: string } & Disposable> {
  if (wanted.rootfs !== undefined || (await storedImage(wanted, context)) !== undefined) {
    return { path: context.paths.store, [Symbol.dispose]() {} }
  }
  const path = mkdtempSync('/var/tmp/forerun-display-')
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** The stored image that would be installed as it is: whole, for the platform that was asked for, and accepted by the policy as it is now. */
async function storedImage({ location, sourceOptions }: Wanted, context: Context): Promise<FoundImage | undefined> {
  const record = await storedRecord(location, context)
  if (record === undefined || !isAccepted(record)) return undefined
  const image = wholeImage(context.paths.store, record)
  const { platform } = sourceOptions
  if (image === undefined) return undefined
  const isWanted = platform === undefined || runsOn(image.configuration, parsePlatform(platform))
  return isWanted ? { record, image } : undefined
}

function isAccepted({ name, accepted }: PulledImage): boolean {
  const needed = neededAcceptance(parseLocation(name))
  return needed === undefined || accepted.includes(needed)
}

/** Only a registry's name says which image of the store is meant; other places are looked at again. */
async function storedRecord(location: ImageLocation, context: Context): Promise<PulledImage | undefined> {
  for (const candidate of await context.candidates(location)) {
    if (candidate.transport !== 'docker') continue
    const name = formatReference(candidate.reference)
    const [record] = findImages(context.paths.store, { name, id: '' })
    if (record !== undefined) return { ...record, name }
  }
  return undefined
}

async function existingTree(folder: string, location: ImageLocation, context: Context): Promise<InstallableImage> {
  // Runtimes refuse a root that is a symbolic link, or lies behind one.
  const found = [join(folder, 'rootfs'), folder].find((path) => existsSync(path))
  if (found === undefined) {
    throw new ForerunError('rootfs', `the folder '${folder}' does not exist`, {
      hint: 'Give --rootfs the folder of an unpacked image, or of a deployment.',
    })
  }
  const rootfs = realpathSync(found)
  const record = await storedRecord(location, context)
  const tree = scanRootfs(rootfs)
  const pathOf = (file: FileNode): Buffer => pathBytes(file.object)
  return {
    name: record?.name ?? formatFullLocation(location),
    id: record?.id ?? '',
    manifest: record?.manifest ?? '',
    configuration: record === undefined ? emptyConfiguration : openImage(context.paths.store, record).configuration,
    files: treeFiles(tree, pathOf),
    pathOf,
    tree,
    rootfs,
  }
}

function scanRootfs(rootfs: string): DirectoryNode {
  try {
    return scanTree(rootfs)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTDIR') throw cause
    throw new ForerunError('rootfs', `'${rootfs}' is not a folder`, {
      cause,
      hint: 'Give --rootfs the folder of an unpacked image, or of a deployment.',
    })
  }
}

/** For a tree of an image that the store does not know: then `/exports` has to say everything. */
const emptyConfiguration: ImageConfiguration = parseImageConfiguration(
  Buffer.from(JSON.stringify({ architecture: 'unknown', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } })),
)
