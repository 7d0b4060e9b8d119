import { ForerunError } from '../../errors.ts'
import type { ImageConfiguration } from '../../image/configuration.ts'
import { parseConfigurationDetails } from '../../image/configuration-details.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { isSound } from '../../image/index-entry.ts'
import { parseLocation } from '../../image/location.ts'
import { formatPlatform } from '../../image/platform.ts'
import { imageTree, openImage } from '../../store/image.ts'
import { type ImageRecord, readBlob } from '../../store/image-index.ts'
import { objectPath } from '../../store/object.ts'
import type { Context, SourceOptions } from '../context.ts'
import { findImage } from '../lookup/find-image.ts'
import type { ResolvedImage } from '../lookup/resolve-image.ts'
import { treeFiles } from '../lookup/tree-files.ts'
import { requireImage } from './images.ts'
import { type LayerLook, type RemoteVariables, remoteVariables } from './remote-variables.ts'
import { type TemplateVariables, templateVariables } from './template-variables.ts'

/** All that an image says of itself. */
export interface ImageInspection extends Pick<TemplateVariables, 'variables' | 'required'> {
  readonly names: readonly string[]
  readonly id: string
  /** Digest of what the name stands for: of the index where there is one; of a stored image, of its manifest. */
  readonly digest: string
  readonly manifest: string
  /** Of the manifest. */
  readonly mediaType: string
  /** `linux/arm64/v8` */
  readonly platform: string
  /** Of the index; of an image without one, and of a stored image, its own. */
  readonly platforms: readonly InspectedPlatform[]
  /** Bytes of all layers as transferred. */
  readonly size: number
  readonly layers: readonly InspectedLayer[]
  /** RFC 3339. */
  readonly created?: string
  readonly author?: string
  readonly labels: Readonly<Record<string, string>>
  /** Of the manifest. */
  readonly annotations: Readonly<Record<string, string>>
  readonly configuration: Omit<ImageConfiguration['config'], 'labels' | 'healthCheck'> & {
    /** As it is stored. */
    readonly healthCheck?: object
  }
  /** What was read of layers to know the variables; absent for a stored image. */
  readonly fetched?: RemoteVariables['fetched']
}

export interface InspectedPlatform {
  readonly platform?: string
  readonly mediaType: string
  readonly digest: string
  /** Bytes of the manifest. */
  readonly size: number
}

export interface InspectedLayer {
  readonly mediaType: string
  readonly digest: string
  readonly diffId: string
  /** Bytes as transferred. */
  readonly size: number
  /** Absent for a stored image. */
  readonly look?: LayerLook
}

/**
 * Looks at an image: at a stored one, or with `remote` where it comes from, without pulling it. Nothing is written, and no
 * policy is asked, since nothing of the image is used.
 *
 * @throws ForerunError `image-not-found`, `store`, what reading the source throws, and for malformed `/exports`.
 */
export async function inspectImage(
  words: string,
  options: SourceOptions & { readonly remote: boolean },
  context: Context,
): Promise<ImageInspection> {
  if (!options.remote) return inspectStored(requireImage(words, context), context)
  const { remote: _, ...sourceOptions } = options
  await using found = await findImage(parseLocation(words), { ...sourceOptions, judged: false }, context)
  const { image, source } = found
  const { variables, required, looks, fetched } = await remoteVariables(image, source, context)
  return {
    ...described(image, { names: [image.reference], looks }),
    digest: image.indexes[0]?.digest ?? image.digest,
    platforms: platformsOf(image),
    variables,
    required,
    fetched,
  }
}

function inspectStored(record: ImageRecord, { paths: { store } }: Context): ImageInspection {
  const { manifest, configuration } = openImage(store, record)
  const tree = imageTree(store, record)
  if (tree === undefined) {
    throw new ForerunError('store', `the store has lost a layer of '${record.names[0] ?? record.id}'`, {
      hint: `Pull the image again: forerun pull ${record.names[0] ?? 'IMAGE'}`,
    })
  }
  const { variables, required } = templateVariables(treeFiles(tree, (file) => objectPath(store, file.object)))
  const bytes = readBlob(store, record.manifest)
  const image = {
    digest: record.manifest,
    bytes,
    manifest,
    configuration,
    configurationBytes: readBlob(store, record.id),
  }
  return {
    ...described(image, { names: record.names }),
    digest: record.manifest,
    platforms: [ownPlatform(image)],
    variables,
    required,
  }
}

type InspectedImage = Pick<ResolvedImage, 'digest' | 'bytes' | 'manifest' | 'configuration' | 'configurationBytes'>

type Described = Omit<ImageInspection, 'digest' | 'platforms' | 'variables' | 'required' | 'fetched'>

function described(
  image: InspectedImage,
  about: { names: readonly string[]; looks?: readonly LayerLook[] },
): Described {
  const { manifest, configuration, configurationBytes } = image
  const { created, author } = configuration
  const { labels, healthCheck: _, ...config } = configuration.config
  const { healthCheck } = parseConfigurationDetails(configurationBytes, { layers: manifest.layers.length })
  return {
    names: about.names,
    id: manifest.config.digest,
    manifest: image.digest,
    mediaType: manifest.mediaType,
    platform: formatPlatform(configuration),
    size: manifest.layers.reduce((sum, { size }) => sum + size, 0),
    layers: manifest.layers.map(({ mediaType, digest, size }, index) => {
      const look = about.looks?.[index]
      return { mediaType, digest, diffId: configuration.diffIds[index] ?? '', size, ...(look && { look }) }
    }),
    ...(created !== undefined && { created }),
    ...(author !== undefined && { author }),
    labels,
    annotations: manifest.annotations,
    configuration: { ...config, ...(healthCheck !== undefined && { healthCheck }) },
  }
}

/** Of nested indexes all entries, but those that are the way to the manifest. */
function platformsOf(image: ResolvedImage): InspectedPlatform[] {
  if (image.indexes.length === 0) return [ownPlatform(image)]
  const way = new Set<string>(image.indexes.map(({ digest }) => digest))
  const entries = image.indexes.flatMap(({ index }) => index.manifests).filter(isSound)
  return entries.filter(({ digest }) => !way.has(digest)).map(inspectedPlatform)
}

function inspectedPlatform({ platform, mediaType, digest, size }: Descriptor): InspectedPlatform {
  // Artifacts in an index have half a platform, or an empty one.
  const isTold = platform !== undefined && platform.os !== '' && platform.architecture !== ''
  return { ...(isTold && { platform: formatPlatform(platform) }), mediaType, digest, size }
}

function ownPlatform({ configuration, manifest, digest, bytes }: InspectedImage): InspectedPlatform {
  return { platform: formatPlatform(configuration), mediaType: manifest.mediaType, digest, size: bytes.length }
}
