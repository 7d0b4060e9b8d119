import { writeFileSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { parseLocation } from '../../image/location.ts'
import type { BlobOutcome, ImageTarget } from '../../source/target.ts'
import { openImage, type StoredImage } from '../../store/image.ts'
import { type ImageRecord, readBlob } from '../../store/image-index.ts'
import { sideBySide } from '../../workers/side-by-side.ts'
import type { Context, SourceOptions } from '../context.ts'
import { namedImage } from '../lookup/named-image.ts'
import { layerContent } from './layer-content.ts'
import { type LayerPlaces, layerPlaces } from './layer-locations.ts'

export interface PushOptions extends SourceOptions {
  /** Where the image is to go, as `parseLocation` reads it; default: to its own name. */
  readonly destination?: string
  /** A file to write the manifest's digest to. */
  readonly digestfile?: string
}

export interface PushResult {
  /** Of the configuration. */
  readonly id: string
  readonly manifest: Digest
  /** `registry.example/etcd:3.5`, `oci:/srv/etcd:3.5`. */
  readonly destination: string
  /** Base first, each once. */
  readonly layers: readonly { readonly digest: Digest; readonly size: number; readonly outcome: BlobOutcome }[]
}

/**
 * Writes a stored image elsewhere, byte for byte: manifest, configuration and layers have the digests that were pulled. Nobody finds it
 * there before all of it is there. The store is only read, without the lock: a prune at the same time may end it in an error.
 *
 * @param words a name in the store, or an id.
 * @throws ForerunError `image-not-found` also for a layer whose bytes nothing has any more.
 */
export async function push(words: string, options: PushOptions, context: Context): Promise<PushResult> {
  const { destination, digestfile, ...reach } = options
  const { record, name } = namedImage(words, context)
  const image = openImage(context.paths.store, record)
  const location = parseLocation(destination ?? name ?? onlyName(record))
  await using target = await context.target(location, reach)
  const { layers } = image.manifest
  context.emit({
    type: 'image-resolved',
    reference: target.name,
    digest: record.manifest,
    layers: layers.map(({ digest, size }) => ({ digest, size })),
  })
  // Files need no options: then they are for the registry that the image came from.
  const origin = location.transport === 'docker' ? undefined : (name ?? record.origins[0])
  const meant = origin === undefined ? location : parseLocation(origin)
  await using places = layerPlaces(image, { meant, options: reach, context })
  const outcomes = await pushLayers(image, { target, places, context })
  await pushDocuments(image, target, context)
  if (digestfile !== undefined) writeDigest(digestfile, record.manifest)
  return { id: record.id, manifest: record.manifest, destination: target.name, layers: outcomes }
}

function onlyName({ id, names }: ImageRecord): string {
  const [only, another] = names
  if (only !== undefined && another === undefined) return only
  throw new ForerunError('usage', `the image '${id}' has ${names.length === 0 ? 'no name' : `${names.length} names`}`, {
    hint: 'Say where it is to go: forerun push IMAGE DESTINATION',
  })
}

interface Pushing {
  readonly target: ImageTarget
  readonly places: LayerPlaces
  readonly context: Context
}

async function pushLayers(image: StoredImage, pushing: Pushing): Promise<PushResult['layers']> {
  const { signal, settings } = pushing.context
  const layers = new Map(image.manifest.layers.map((layer) => [layer.digest, layer]))
  const outcomes = new Map<Digest, BlobOutcome>()
  const work = async (layer: Descriptor, interrupt: AbortSignal) => {
    outcomes.set(layer.digest, await pushLayer(layer, pushing, interrupt))
  }
  await sideBySide([...layers.values()], work, { width: settings.registry.parallelLayers, signal })
  return [...layers.values()].map(({ digest, size }) => ({ digest, size, outcome: outcomes.get(digest) ?? 'present' }))
}

async function pushLayer(
  layer: Descriptor,
  { target, places, context: { emit } }: Pushing,
  signal: AbortSignal,
): Promise<BlobOutcome> {
  const content = layerContent(layer, places, { signal, emit })
  for (;;) {
    try {
      const outcome = await target.writeBlob(layer, content, { signal, emit })
      emit({ type: 'layer-pushed', digest: layer.digest, outcome })
      return outcome
    } catch (error) {
      if (!content.mayDoBetter(error)) throw error
      emit({ type: 'notice', message: `${(error as Error).message}; trying another place` })
    }
  }
}

/** The manifest comes last: with it the image is there. */
async function pushDocuments({ record, manifest }: StoredImage, target: ImageTarget, context: Context): Promise<void> {
  const { paths, signal, emit } = context
  const configuration = readBlob(paths.store, record.id)
  async function* open(): AsyncGenerator<Buffer, void, undefined> {
    yield configuration
  }
  await target.writeBlob(manifest.config, { open, neighbours: [] }, { signal, emit })
  const { mediaType } = manifest
  const bytes = readBlob(paths.store, record.manifest)
  await target.writeManifest({ mediaType, digest: record.manifest, bytes }, { signal, emit })
}

function writeDigest(path: string, digest: Digest): void {
  try {
    writeFileSync(path, digest)
  } catch (cause) {
    const message = `the image is pushed, but its digest cannot be written to '${path}': ${(cause as Error).message}`
    throw new ForerunError('host-file', message, { hint: `The digest is ${digest}.`, cause })
  }
}
