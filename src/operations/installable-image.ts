import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ImageFiles } from '../bundle/image-files.ts'
import { ForerunError } from '../errors.ts'
import { type ImageConfiguration, parseImageConfiguration } from '../image/configuration.ts'
import { formatLocation, type ImageLocation } from '../image/location.ts'
import { formatReference } from '../image/reference.ts'
import { findImages, openImage, wholeImage } from '../store/image.ts'
import type { ImageRecord } from '../store/image-index.ts'
import { objectPath } from '../store/object.ts'
import { scanTree } from '../store/scan-tree.ts'
import { pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, FileNode } from '../tree/node.ts'
import type { Context, SourceOptions } from './context.ts'
import { imageFiles } from './image-files.ts'
import { labelOf } from './images.ts'
import { pullImage } from './pull.ts'

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

interface Wanted {
  readonly location: ImageLocation
  readonly sourceOptions: SourceOptions
  readonly rootfs: string | undefined
}

/** From the store, pulled when it is not there or damaged; or the tree of `--rootfs`, without pulling. */
export async function installableImage(wanted: Wanted, context: Context): Promise<InstallableImage> {
  if (wanted.rootfs !== undefined) return existingTree(wanted.rootfs, wanted.location, context)
  const { store } = context.paths
  const stored = storedRecord(wanted.location, store)
  const storedImage = stored === undefined ? undefined : wholeImage(store, stored)
  const record =
    stored !== undefined && storedImage !== undefined
      ? stored
      : await pullImage(wanted.location, wanted.sourceOptions, context)
  const image = storedImage ?? wholeImage(store, record)
  if (image === undefined) throw new Error(`${record.manifest} was pulled and is not whole`)
  const { configuration, tree } = image
  refuseRunOnce(configuration, wanted.location)
  const pathOf = (file: FileNode): string => objectPath(store, file.object)
  return {
    name: formatLocation(wanted.location),
    id: record.id,
    manifest: record.manifest,
    configuration,
    files: imageFiles(tree, pathOf),
    pathOf,
    tree,
    rootfs: undefined,
  }
}

/** The store itself when it has the image, whole, or needs none, else a folder that is removed when disposed of. */
export function throwawayStore(wanted: Wanted, context: Context): { path: string } & Disposable {
  const { store } = context.paths
  const stored = storedRecord(wanted.location, store)
  if (wanted.rootfs !== undefined || (stored !== undefined && wholeImage(store, stored) !== undefined)) {
    return { path: store, [Symbol.dispose]() {} }
  }
  const path = mkdtempSync('/var/tmp/forerun-display-')
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Only a registry's name says which image of the store is meant; other places are looked at again. */
function storedRecord(location: ImageLocation, store: string): ImageRecord | undefined {
  if (location.transport !== 'docker') return undefined
  return findImages(store, { name: formatReference(location.reference), id: '' })[0]
}

function existingTree(folder: string, location: ImageLocation, context: Context): InstallableImage {
  const rootfs = [join(folder, 'rootfs'), folder].map((path) => resolve(path)).find((path) => existsSync(path))
  if (rootfs === undefined) {
    throw new ForerunError('rootfs', `the folder '${folder}' does not exist`, {
      hint: 'Give --rootfs the folder of an unpacked image, or of a deployment.',
    })
  }
  const { store } = context.paths
  const record = storedRecord(location, store)
  const tree = scanRootfs(rootfs)
  const pathOf = (file: FileNode): Buffer => pathBytes(file.object)
  return {
    name: formatLocation(location),
    id: record?.id ?? '',
    manifest: record?.manifest ?? '',
    configuration: record === undefined ? emptyConfiguration : openImage(store, record).configuration,
    files: imageFiles(tree, pathOf),
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

function refuseRunOnce(configuration: ImageConfiguration, location: ImageLocation): void {
  if (labelOf(configuration.config.labels, 'atomic.run') !== 'once') return
  throw new ForerunError(
    'not-an-image',
    `'${formatLocation(location)}' is to be run once (label atomic.run=once), which this version of forerun does not do`,
    { hint: 'Run it with a container engine, for example podman run.' },
  )
}
