import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { ForerunError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { LayerLimits, LayerTotals } from '../../image/layer-limits.ts'
import { checkImageTotals, LayerFault, layerError } from '../../layer/fault.ts'
import type { ImageSource } from '../../source/source.ts'
import { blobPath } from '../../store/image-index.ts'
import { readWholeLayerTree, type StoredLayers } from '../../store/layer-tree.ts'
import { openPartialBlob, type PartialBlob } from '../../store/partial-blob.ts'
import type { Staging } from '../../store/staging.ts'
import { displayPath } from '../../tree/entry.ts'
import type { StoredEntry } from '../../tree/merge.ts'
import { openTurns, sideBySide, type Turns } from '../../workers/side-by-side.ts'
import { type UnpackedLayer, unpackLayer } from '../../workers/unpack-layer.ts'
import type { Context } from '../context.ts'
import { blobBytes, type ResolvedImage } from '../lookup/resolve-image.ts'
import { receiveBlob } from './received-blob.ts'

export interface FetchedLayers {
  /** The blobs that were fetched. */
  readonly blobs: readonly Digest[]
  /** Encoded trees by diff id, of the layers that the store lacked. Their objects wait in the staging. */
  readonly trees: ReadonlyMap<Digest, Uint8Array>
  /** The layers that the store had. */
  readonly stored: StoredLayers
  /** Bytes of all files of all layers, stored ones too. */
  readonly size: number
  /** Bytes of all files of the layers that were fetched: at most so many wait in the staging. */
  readonly written: number
}

/**
 * Brings the layers of an image that the store lacks into a staging, side by side where the source can. With `keep`, what
 * is received of each layer is kept as a partial blob, and what an earlier pull kept is not fetched again.
 */
export async function fetchLayers(
  image: ResolvedImage,
  work: { source: ImageSource; staging: Staging; keep: boolean; context: Context },
): Promise<FetchedLayers> {
  const { source, context } = work
  const trees = new Map<Digest, Uint8Array>()
  const { wanted, stored } = neededLayers(image, context)
  const totals = { entries: 0, size: 0 }
  for (const entries of stored.values()) {
    totals.entries += entries.length
    totals.size += fileBytes(entries)
  }
  const storedSize = totals.size
  const blobs = wanted.map(({ descriptor }) => descriptor.digest)
  const inOrder = source.forwardOrder?.(wanted.map(({ descriptor }) => descriptor))
  if (inOrder !== undefined) {
    wanted.sort((a, b) => inOrder.indexOf(a.descriptor) - inOrder.indexOf(b.descriptor))
  }
  const width = inOrder === undefined ? context.settings.registry.parallelLayers : 1
  const turns = openTurns(importsAtATime())
  const fetch = async (layer: Layer, signal: AbortSignal) => {
    const unpacked = await fetchLayer(layer, { ...work, turns, signal, others: totals })
    trees.set(layer.diffId, unpacked.tree)
    totals.entries += unpacked.entries
    totals.size += unpacked.size
    checkTotals(totals, layer, context.settings.limits)
  }
  await sideBySide(wanted, fetch, { width, signal: context.signal })
  // As many as a checkout uses; an import has more.
  await context.threads.keep(availableParallelism() - 1)
  return { blobs, trees, stored, size: totals.size, written: totals.size - storedSize }
}

/** A layer knows of those that were there before it. @throws ForerunError `limit` */
function checkTotals(totals: LayerTotals, { descriptor }: Layer, limits: LayerLimits): void {
  try {
    checkImageTotals(totals, limits)
  } catch (error) {
    throw error instanceof LayerFault ? layerError(error, { layer: descriptor.digest, where: 'its end' }) : error
  }
}

interface Layer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
}

/** A layer that an image has twice is fetched once. */
function neededLayers(
  image: ResolvedImage,
  { paths, settings, emit }: Context,
): { wanted: Layer[]; stored: StoredLayers } {
  const wanted: Layer[] = []
  const stored = new Map<Digest, readonly StoredEntry[]>()
  const seen = new Set<Digest>()
  for (const [index, descriptor] of image.manifest.layers.entries()) {
    const diffId = image.configuration.diffIds[index]
    if (diffId === undefined) throw new Error(`layer ${index} has no diff id`)
    if (seen.has(diffId)) continue
    seen.add(diffId)
    const entries = readWholeLayerTree(paths.store, diffId)
    const lacksBlob = settings.store.keepBlobs && !existsSync(blobPath(paths.store, descriptor.digest))
    if (entries === undefined || lacksBlob) {
      wanted.push({ descriptor, diffId })
      continue
    }
    stored.set(diffId, entries)
    emit({ type: 'layer-finished', digest: descriptor.digest, stored: true })
  }
  return { wanted, stored }
}

interface Work {
  readonly source: ImageSource
  readonly staging: Staging
  readonly keep: boolean
  /** To import; layers are received meanwhile. */
  readonly turns: Turns
  readonly context: Context
  readonly signal: AbortSignal
  /** Of the layers that are there. It grows. */
  readonly others: LayerTotals
}

async function fetchLayer(layer: Layer, work: Work): Promise<UnpackedLayer> {
  const { descriptor } = layer
  const { emit, paths } = work.context
  using partial = work.keep ? openPartialBlob(paths.store, descriptor) : undefined
  const kept = partial?.received ?? 0
  emit({ type: 'layer-started', digest: descriptor.digest, size: descriptor.size, kept })
  const unpacked = await importLayer(layer, partial, work).catch((error: unknown) => {
    if (partial === undefined || kept === 0 || !meansWrongBytes(error)) throw error
    const message = `What an earlier pull left of layer ${descriptor.digest} is damaged; fetching it anew`
    emit({ type: 'notice', message })
    return importAnew(layer, partial, work)
  })
  emit({ type: 'layer-finished', digest: descriptor.digest, stored: false })
  tellLeftOut(descriptor, unpacked, emit)
  return unpacked
}

function tellLeftOut({ digest }: Descriptor, { leftOut }: UnpackedLayer, emit: Context['emit']): void {
  if (leftOut.length === 0) return
  const names = leftOut.map((name) => `'${displayPath(name)}'`).join(', ')
  emit({ type: 'notice', message: `Left out of layer ${digest} extended attributes that Linux cannot hold: ${names}` })
}

function meansWrongBytes(error: unknown): boolean {
  return error instanceof ForerunError && ['digest', 'layer', 'limit'].includes(error.code)
}

function importAnew(layer: Layer, partial: PartialBlob | undefined, work: Work): Promise<UnpackedLayer> {
  partial?.clear()
  return importLayer(layer, partial, work)
}

/** From another place, where the source has one, when the bytes are wrong. */
async function importLayer(layer: Layer, partial: PartialBlob | undefined, work: Work): Promise<UnpackedLayer> {
  const { source, signal, context } = work
  try {
    return await importOnce(layer, partial, work)
  } catch (error) {
    const isWrong = error instanceof ForerunError && error.code === 'digest'
    if (!isWrong || source.distrust?.(layer.descriptor, { signal, emit: context.emit }) !== true) throw error
    return importAnew(layer, partial, work)
  }
}

async function importOnce(layer: Layer, partial: PartialBlob | undefined, work: Work): Promise<UnpackedLayer> {
  const { source, staging, signal } = work
  const { emit, paths, settings, threads } = work.context
  const { descriptor } = layer
  const context = { signal, emit }
  await using received = partial && receiveBlob(descriptor, partial, { source, context })
  using _turn = await work.turns.take()
  return await unpackLayer(received?.bytes() ?? blobBytes(source, descriptor, context), layer, {
    store: paths.store,
    staging,
    threads,
    limits: settings.limits,
    others: { ...work.others },
    signal,
    onReceived: (bytes) => emit({ type: 'layer-progress', digest: descriptor.digest, received: bytes }),
  })
}

/** An import keeps two cores busy. */
function importsAtATime(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2))
}

function fileBytes(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0)
}
