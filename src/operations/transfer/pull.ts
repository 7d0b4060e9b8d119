import { resolve } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { isFullDisk, namingFullDisk } from '../../host/full-disk.ts'
import { formatFullLocation, type ImageLocation, parseLocation, spelledRepository } from '../../image/location.ts'
import { type ImageRecord, readImageIndex, writeBlob, writeImageIndex } from '../../store/image-index.ts'
import { nameImage } from '../../store/image-names.ts'
import { type StoredLayers, writeLayerTree } from '../../store/layer-tree.ts'
import { keepPartialBlob, removePartialBlob, removePartialBlobs } from '../../store/partial-blob.ts'
import { openStaging } from '../../store/staging.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockStore } from '../locks.ts'
import { type FoundImage, findImage } from '../lookup/find-image.ts'
import type { ResolvedImage } from '../lookup/resolve-image.ts'
import { fetchLayers } from './fetch-layers.ts'

/** An image of the store, and the name under which it was pulled. */
export interface PulledImage extends ImageRecord {
  readonly name: string
}

/** Brings an image into the store under its full name; layers that the store has already are not fetched again. */
export async function pull(image: string, options: SourceOptions, context: Context): Promise<PulledImage> {
  const location = parseLocation(image)
  using _lock = await lockStore(`pull ${image}`, 'exclusive', context)
  return (await pullImage(location, { ...options, spelling: spelledRepository(location) }, context)).record
}

export interface Pull {
  readonly record: PulledImage
  /** Of its layers those that the store had before. */
  readonly stored: StoredLayers
}

type PullOptions = SourceOptions & {
  /** How a user's words named the repository; undefined where no user named it. */
  readonly spelling?: string | undefined
}

/**
 * As `pull`, for a caller that holds the lock. All or nothing: every layer has been verified (size, digest, diff id)
 * before the first object is visible, and the name comes last. Of a pull that was cut short, what it received is kept
 * for the next one.
 */
export async function pullImage(location: ImageLocation, options: PullOptions, context: Context): Promise<Pull> {
  try {
    return await pullWhole(location, options, context)
  } catch (error) {
    throw namingFullDisk(error, context.paths.store)
  }
}

async function pullWhole(location: ImageLocation, options: PullOptions, context: Context): Promise<Pull> {
  await using found = await findImage(location, options, context)
  const { image } = found
  const { spelling } = options
  const layers = image.manifest.layers.map(({ digest, size }) => ({ digest, size }))
  context.emit({ type: 'image-resolved', reference: image.reference, digest: image.digest, layers })
  const keep = found.source.isRemote || context.settings.store.keepBlobs
  const { record, stored } = await importImage(found, { keep, spelling, context }).catch((error: unknown) => {
    if (!isCutShort(error)) forgetPartialBlobs(image, context)
    if (!keep || !isFullDisk(error)) throw error
    context.emit({ type: 'notice', message: 'The disk is full; trying again without keeping what is received' })
    return importImage(found, { keep: false, spelling, context })
  })
  forgetPartialBlobs(image, context)
  return { record: { ...record, name: image.reference }, stored }
}

async function importImage(
  { location, image, acceptance, source }: FoundImage,
  { keep, spelling, context }: { keep: boolean; spelling: string | undefined; context: Context },
): Promise<{ record: ImageRecord; stored: StoredLayers }> {
  const { store } = context.paths
  const keepBlobs = keep && context.settings.store.keepBlobs
  using staging = openStaging(store)
  const layers = await fetchLayers(image, { source, staging, keep, context })
  if (layers.written > quicklyWritten) await staging.flush(context.signal)
  staging.commit()
  if (keepBlobs) for (const digest of layers.blobs) keepPartialBlob(store, digest)
  for (const [diffId, tree] of layers.trees) writeLayerTree(store, diffId, tree)
  writeBlob(store, image.digest, image.bytes)
  writeBlob(store, image.manifest.config.digest, image.configurationBytes)
  const record = enterImage(store, image, { location, acceptance, spelling, treeSize: layers.size })
  return { record, stored: layers.stored }
}

/** Bytes that a slow disk takes in less than a second. */
const quicklyWritten = 32 * 1024 ** 2

/** How to find the place again, from any folder. */
function originOf(location: ImageLocation): string {
  return formatFullLocation('path' in location ? { ...location, path: resolve(location.path) } : location)
}

/** Whether what was received before the error is as good as any. */
function isCutShort(error: unknown): boolean {
  return error instanceof ForerunError && ['registry', 'unauthorized', 'interrupted'].includes(error.code)
}

/** What other pulls left is given a week to be taken up again. */
const patience = 7 * 24 * 3600 * 1000

function forgetPartialBlobs(image: ResolvedImage, { paths: { store } }: Context): void {
  for (const { digest } of image.manifest.layers) removePartialBlob(store, digest)
  removePartialBlobs(store, { olderThan: patience })
}

/** A name belongs to one image: the one that had it keeps its other names, or is left dangling. */
function enterImage(
  store: string,
  image: ResolvedImage,
  {
    location,
    acceptance,
    spelling,
    treeSize,
  }: Pick<FoundImage, 'location' | 'acceptance'> & { spelling: string | undefined; treeSize: number },
): ImageRecord {
  const index = readImageIndex(store)
  const before = index.find(({ manifest }) => manifest === image.digest)
  const record: ImageRecord = {
    manifest: image.digest,
    id: image.manifest.config.digest,
    names: before?.names ?? [],
    spellings: before?.spellings,
    diffIds: image.configuration.diffIds,
    transferSize: image.manifest.layers.reduce((sum, { size }) => sum + size, 0),
    treeSize,
    pulled: Math.floor(Date.now() / 1000),
    origins: [...new Set([originOf(location), ...(before?.origins ?? [])])],
    accepted: [...new Set([acceptance, ...(before?.accepted ?? [])])].filter((one) => one !== undefined),
  }
  const others = index.filter(({ manifest }) => manifest !== record.manifest)
  const named = nameImage([...others, record], record.manifest, { name: image.reference, spelling })
  writeImageIndex(store, named)
  return named.at(-1) ?? record
}
