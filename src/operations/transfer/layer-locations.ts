import { createReadStream, existsSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { formatFullLocation, type ImageLocation, parseLocation } from '../../image/location.ts'
import type { Platform } from '../../image/platform.ts'
import { repositoryName } from '../../image/reference.ts'
import type { ImageSource, TransferContext } from '../../source/source.ts'
import type { StoredImage } from '../../store/image.ts'
import { blobPath, type ImageRecord, readImageIndex } from '../../store/image-index.ts'
import { storedManifest } from '../../store/stored-manifest.ts'
import type { Context, SourceOptions } from '../context.ts'

/** A place that probably has the bytes of a layer as it was transferred. */
export interface LayerPlace {
  /** For messages. */
  readonly name: string
  /** The bytes from `offset` on, not verified. @throws what the place says, a ForerunError mostly. */
  read(descriptor: Descriptor, context: TransferContext, offset: number): AsyncIterable<Buffer>
}

export interface LayerPlaces extends AsyncDisposable {
  /** Best first: the descriptor itself, the store, where the image came from, where images that share the layer did. */
  placesOf(descriptor: Descriptor): LayerPlace[]
  /** Full names of the repositories that may have the layer, best first. */
  repositoriesOf(digest: Digest): string[]
}

/**
 * Knows where the layers of a stored image can be had. Nothing is opened before it is read.
 *
 * @param work.options how to reach what lies in the registry of `meant`; towards others only their own settings hold.
 */
export function layerPlaces(
  image: StoredImage,
  { meant, options, context }: { meant: ImageLocation; options: SourceOptions; context: Context },
): LayerPlaces {
  const { store } = context.paths
  const opened = new AsyncDisposableStack()
  const registries = new Map<string, Promise<ImageSource>>()
  const others = readImageIndex(store)
    .filter(({ manifest }) => manifest !== image.record.manifest)
    .map((record) => ({ record, layers: storedManifest(store, record.manifest)?.layers ?? [] }))

  function locationsOf(digest: Digest): ImageLocation[] {
    const sharing = others.filter(({ layers }) => layers.some((layer) => layer.digest === digest))
    const words = [image.record, ...sharing.map(({ record }) => record)].flatMap(wordsOf)
    return [...new Set(words)].map(parseLocation)
  }

  /** A registry is asked over the same connections again; anything else is opened for each reading, which may be forwards only. */
  async function open(location: ImageLocation, reading: AsyncDisposableStack): Promise<ImageSource> {
    const reach = optionsFor(location, meant, options)
    if (location.transport !== 'docker') return reading.use(await context.source(location, reach))
    const name = repositoryName(location.reference)
    const registry = registries.get(name) ?? context.source(location, reach).then((source) => opened.use(source))
    registries.set(name, registry)
    return registry
  }

  function placeAt(location: ImageLocation): LayerPlace {
    return {
      name: formatFullLocation(location),
      async *read(descriptor, transfer, offset) {
        await using reading = new AsyncDisposableStack()
        const source = await open(location, reading)
        if (!findsByDigest(location)) await source.manifest(platformOf(image), transfer)
        yield* source.blob(descriptor, transfer, { offset })
      },
    }
  }

  return {
    placesOf: (descriptor) => [
      ...embedded(descriptor),
      ...keptInStore(store, descriptor),
      ...locationsOf(descriptor.digest).map(placeAt),
    ],
    repositoriesOf(digest) {
      const locations = locationsOf(digest).flatMap((location) => (location.transport === 'docker' ? [location] : []))
      return [...new Set(locations.map(({ reference }) => repositoryName(reference)))]
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Names are places too: an image may have been pushed there since. */
function wordsOf({ origins, names }: ImageRecord): string[] {
  return [...origins, ...names]
}

/** What a user says of one registry, a password above all, is not for another. */
function optionsFor(location: ImageLocation, meant: ImageLocation, options: SourceOptions): SourceOptions {
  const isSame =
    location.transport === 'docker' &&
    meant.transport === 'docker' &&
    location.reference.domain === meant.reference.domain
  if (isSame) return options
  return options.authfile === undefined ? {} : { authfile: options.authfile }
}

/** Elsewhere blobs are known only after the image's manifest has been asked for. */
function findsByDigest({ transport }: ImageLocation): boolean {
  return ['docker', 'oci', 'oci-archive', 'dir'].includes(transport)
}

function platformOf({ configuration }: StoredImage): Platform {
  const { os, architecture, variant } = configuration
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

function embedded({ data }: Descriptor): LayerPlace[] {
  if (data === undefined) return []
  return [{ name: 'the manifest', read: (_, __, offset) => Readable.from([data.subarray(offset)]) }]
}

/** With the setting `keep-blobs`. */
function keptInStore(store: string, { digest }: Descriptor): LayerPlace[] {
  const path = blobPath(store, digest)
  if (!existsSync(path)) return []
  return [
    { name: 'the store', read: (_, { signal }, start) => createReadStream(path, { start, signal, highWaterMark }) },
  ]
}

/** Bytes. */
const highWaterMark = 256 * 1024
