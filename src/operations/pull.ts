import { ForerunError } from '../errors.ts'
import { namingFullDisk } from '../host/full-disk.ts'
import { type ImageLocation, parseLocation } from '../image/location.ts'
import { readLayer } from '../layer/read-layer.ts'
import type { ImageSource } from '../source/source.ts'
import { type ImageRecord, readImageIndex, writeBlob, writeImageIndex } from '../store/image-index.ts'
import { readWholeLayerTree, writeLayerTree } from '../store/layer-tree.ts'
import { layerWriter } from '../store/layer-writer.ts'
import { openStaging, type Staging } from '../store/staging.ts'
import type { StoredEntry } from '../tree/merge.ts'
import type { Context, SourceOptions } from './context.ts'
import { lockHost } from './lock-host.ts'
import { blobBytes, type ResolvedImage, resolveImage, wantedPlatform } from './resolve-image.ts'

/** Brings an image into the store under its full name; layers that the store has already are not fetched again. */
export async function pull(image: string, options: SourceOptions, context: Context): Promise<ImageRecord> {
  const location = parseLocation(image)
  using _lock = await lockHost(context)
  return pullImage(location, options, context)
}

/**
 * As `pull`, for a caller that holds the lock. All or nothing: every layer has been verified (size, digest, diff id)
 * before the first object is visible, and the name comes last.
 */
export async function pullImage(
  location: ImageLocation,
  options: SourceOptions,
  context: Context,
): Promise<ImageRecord> {
  try {
    return await pullWhole(location, options, context)
  } catch (error) {
    throw namingFullDisk(error, context.paths.store)
  }
}

async function pullWhole(location: ImageLocation, options: SourceOptions, context: Context): Promise<ImageRecord> {
  const { paths, emit, signal } = context
  const platform = wantedPlatform(options)
  await using source = await context.source(location, options)
  const image = await resolveImage(source, platform, { context: { signal, emit }, accept: async () => {} })
  const layers = image.manifest.layers.map(({ digest, size }) => ({ digest, size }))
  emit({ type: 'image-resolved', reference: image.reference, digest: image.digest, layers })
  using staging = openStaging(paths.store)
  const trees = await fetchLayers(image, { source, staging, context })
  staging.commit()
  for (const [diffId, tree] of trees.fetched) writeLayerTree(paths.store, diffId, tree)
  writeBlob(paths.store, image.digest, image.bytes)
  writeBlob(paths.store, image.manifest.config.digest, image.configurationBytes)
  return enterImage(paths.store, image, { name: image.reference, treeSize: trees.size })
}

type DiffId = ResolvedImage['configuration']['diffIds'][number]

/** `size` is the bytes of all files of all layers. */
async function fetchLayers(
  image: ResolvedImage,
  work: { source: ImageSource; staging: Staging; context: Context },
): Promise<{ fetched: Map<DiffId, readonly StoredEntry[]>; size: number }> {
  const { emit, paths, settings } = work.context
  const fetched = new Map<DiffId, readonly StoredEntry[]>()
  const wanted: number[] = []
  let size = 0
  for (const [index, diffId] of image.configuration.diffIds.entries()) {
    if (image.configuration.diffIds.indexOf(diffId) < index) continue
    const stored = readWholeLayerTree(paths.store, diffId)
    if (stored === undefined) wanted.push(index)
    else size += fileBytes(stored)
    const digest = image.manifest.layers[index]?.digest
    if (stored !== undefined && digest !== undefined) emit({ type: 'layer-finished', digest, stored: true })
  }
  const fault = new AbortController()
  const signal = AbortSignal.any([work.context.signal, fault.signal])
  const fetchNext = async (): Promise<void> => {
    for (let index = wanted.shift(); index !== undefined; index = wanted.shift()) {
      const layer = await fetchLayer(image, index, { ...work, signal })
      fetched.set(layer.diffId, layer.entries)
      size += fileBytes(layer.entries)
    }
  }
  const workers = Array.from({ length: settings.registry.parallelLayers }, () =>
    fetchNext().catch((error: unknown) => {
      fault.abort()
      throw error
    }),
  )
  throwFirst(await Promise.allSettled(workers))
  return { fetched, size }
}

async function fetchLayer(
  image: ResolvedImage,
  index: number,
  work: { source: ImageSource; staging: Staging; context: Context; signal: AbortSignal },
): Promise<{ diffId: DiffId; entries: readonly StoredEntry[] }> {
  const { signal } = work
  const { emit, settings } = work.context
  const descriptor = image.manifest.layers[index]
  const diffId = image.configuration.diffIds[index]
  if (descriptor === undefined || diffId === undefined) throw new Error(`no layer ${index}`)
  emit({ type: 'layer-started', digest: descriptor.digest, size: descriptor.size })
  using receiver = layerWriter(work.staging)
  await readLayer(
    blobBytes(work.source, descriptor, { signal, emit }),
    { descriptor, diffId },
    {
      receiver,
      limits: settings.limits,
      signal,
      onReceived: (received) => emit({ type: 'layer-progress', digest: descriptor.digest, received }),
    },
  )
  emit({ type: 'layer-finished', digest: descriptor.digest, stored: false })
  return { diffId, entries: receiver.entries }
}

/** The failure that came first in time is the cause; the others were interrupted by it. */
function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  const failures = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown)
  if (failures.length === 0) return
  throw failures.find((error) => !(error instanceof ForerunError && error.code === 'interrupted')) ?? failures[0]
}

function fileBytes(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0)
}

/** A name belongs to one image: the one that had it keeps its other names, or is left dangling. */
function enterImage(store: string, image: ResolvedImage, options: { name: string; treeSize: number }): ImageRecord {
  const index = readImageIndex(store)
  const before = index.find(({ manifest }) => manifest === image.digest)
  const record: ImageRecord = {
    manifest: image.digest,
    id: image.manifest.config.digest,
    names: [...new Set([...(before?.names ?? []), options.name])],
    diffIds: image.configuration.diffIds,
    transferSize: image.manifest.layers.reduce((sum, { size }) => sum + size, 0),
    treeSize: options.treeSize,
    pulled: Math.floor(Date.now() / 1000),
  }
  const others = index
    .filter(({ manifest }) => manifest !== record.manifest)
    .map((other) => ({ ...other, names: other.names.filter((name) => name !== options.name) }))
  writeImageIndex(store, [...others, record])
  return record
}
