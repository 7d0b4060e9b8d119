import { join } from 'node:path'
import { openSource } from '../../src/cli/open-image.ts'
import { readSettings } from '../../src/config/settings.ts'
import { hostPaths } from '../../src/host/paths.ts'
import type { Digest } from '../../src/image/digest.ts'
import { defaultLayerLimits, type LayerLimits } from '../../src/image/layer-limits.ts'
import { parseLocation } from '../../src/image/location.ts'
import { readLayer } from '../../src/layer/read-layer.ts'
import type { Context } from '../../src/operations/context.ts'
import { pullImage } from '../../src/operations/transfer/pull.ts'
import { imageTree } from '../../src/store/image.ts'
import { readWholeLayerTree, writeLayerTree } from '../../src/store/layer-tree.ts'
import { openStaging } from '../../src/store/staging.ts'
import type { CheckoutMethod } from '../../src/tree/checkout-method.ts'
import { mergeLayers } from '../../src/tree/merge.ts'
import { checkOutInThreads } from '../../src/workers/check-out-in-threads.ts'
import { openThreads } from '../../src/workers/threads.ts'
import { collectingWriter, encodedTree } from './collecting-writer.ts'
import { type Layer, sha256 } from './layer.ts'

/**
 * Pulls an image into a store below `folder` and checks it out at `target`, by the very code of `forerun install`.
 *
 * @param image words for an image, such as `oci:FOLDER:TAG`.
 */
export async function unpackImage(
  image: string,
  target: string,
  options: { folder: string; method?: CheckoutMethod; limits?: Partial<LayerLimits>; signal?: AbortSignal },
): Promise<void> {
  const { folder, method = 'auto', limits = {}, signal = new AbortController().signal } = options
  const context = storeContext(folder, { limits, signal })
  const { record } = await pullImage(parseLocation(image), {}, context)
  const tree = imageTree(context.paths.store, record)
  if (tree === undefined) throw new Error('a layer that was just pulled is not in the store')
  await checkOutInThreads(context.paths.store, tree, { target, method, shared: true }, context)
}

/**
 * As `unpackImage` for layers at hand, by the same code without its threads, which take longer to start than a small image
 * takes to unpack.
 */
export async function unpackLayers(
  layers: readonly Layer[],
  target: string,
  options: { folder: string; method?: CheckoutMethod; limits?: Partial<LayerLimits> },
): Promise<void> {
  const { folder, method = 'auto' } = options
  const store = join(folder, 'store')
  const limits = { ...defaultLayerLimits, ...options.limits }
  using staging = openStaging(store)
  const trees = new Map<Digest, Uint8Array>()
  for (const { bytes, diffId } of layers) {
    const descriptor = { digest: sha256(bytes) as Digest, size: bytes.length }
    using receiver = collectingWriter(store, staging.openFolder())
    await readLayer(pieces(bytes), { descriptor, diffId: diffId as Digest }, { receiver, limits })
    trees.set(diffId as Digest, encodedTree(receiver.entries))
  }
  staging.commit()
  for (const [diffId, tree] of trees) writeLayerTree(store, diffId, tree)
  const stored = layers.map(({ diffId }) => readWholeLayerTree(store, diffId as Digest))
  const whole = stored.filter((tree) => tree !== undefined)
  if (whole.length < layers.length) throw new Error('a layer that was just written is not in the store')
  const running = { threads, signal: new AbortController().signal }
  await checkOutInThreads(store, mergeLayers(whole), { target, method, shared: true }, running)
}

/** As they might come from a network. */
function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 30_000) yield bytes.subarray(at, at + 30_000)
}

/** Of all images. */
const threads = openThreads()

/** A context with its own store, and the real sources. */
export function storeContext(
  folder: string,
  { limits, signal }: { limits: Partial<LayerLimits>; signal: AbortSignal },
): Context {
  const defaults = readSettings({ root: folder })
  const settings = { ...defaults, limits: { ...defaults.limits, ...limits } }
  return {
    version: '0',
    settings,
    paths: hostPaths({ store: `${folder}/store`, containers: `${folder}/containers` }),
    emit: () => {},
    signal,
    threads,
    candidates: async (location) => [location],
    source: (location, given) => openSource(location, given, { settings, signal }),
    target: () => Promise.reject(new Error('nothing is pushed')),
    manager: () => Promise.reject(new Error('no systemd is needed')),
  }
}
