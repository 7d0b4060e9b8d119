import { ForerunError } from '../../errors.ts'
import { type ImageConfiguration, parseImageConfiguration } from '../../image/configuration.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { malformed } from '../../image/json.ts'
import { checkPlatform, hostPlatform, type Platform, parsePlatform } from '../../image/platform.ts'
import { checkDigest } from '../../source/resolve-manifest.ts'
import type { ImageSource, ResolvedManifest, TransferContext } from '../../source/source.ts'
import type { SourceOptions } from '../context.ts'

export interface ResolvedImage extends ResolvedManifest {
  /** Verbatim. */
  readonly configurationBytes: Buffer
  readonly configuration: ImageConfiguration
}

/** The platform that was asked for, else this host's. @throws ForerunError `usage` */
export function wantedPlatform({ platform }: Pick<SourceOptions, 'platform'>): Platform {
  return platform === undefined ? hostPlatform() : parsePlatform(platform)
}

/**
 * Reads what an image is, from its manifest and its configuration.
 *
 * @param accept sees the manifest before anything of the image is used, and throws when it is not to be believed.
 */
export async function resolveImage(
  source: ImageSource,
  platform: Platform,
  { context, accept }: { context: TransferContext; accept: (manifest: ResolvedManifest) => Promise<void> },
): Promise<ResolvedImage> {
  const resolved = await source.manifest(platform, context)
  await accept(resolved)
  const { manifest } = resolved
  const configurationBytes = await readConfiguration(source, manifest.config, context)
  const configuration = parseImageConfiguration(configurationBytes)
  if (configuration.diffIds.length !== manifest.layers.length) {
    const counts = `${configuration.diffIds.length} diff ids for ${manifest.layers.length} layers`
    throw malformed(`the image's configuration has ${counts}`)
  }
  checkPlatform(configuration, platform)
  return { ...resolved, configurationBytes, configuration }
}

/** The bytes of a blob from `offset` on, from its descriptor when that holds them. */
export function blobBytes(
  source: ImageSource,
  descriptor: Descriptor,
  context: TransferContext,
  { offset = 0 }: { offset?: number } = {},
): AsyncIterable<Buffer> | Iterable<Buffer> {
  const { data } = descriptor
  return data === undefined ? source.blob(descriptor, context, { offset }) : [data.subarray(offset)]
}

/** As large as any real one by far; it is held in memory. */
const largestConfiguration = 4 * 1024 * 1024

async function readConfiguration(
  source: ImageSource,
  descriptor: Descriptor,
  context: TransferContext,
): Promise<Buffer> {
  if (descriptor.size > largestConfiguration) {
    const sizes = `${descriptor.size} bytes, more than ${largestConfiguration}`
    throw new ForerunError('limit', `the image's configuration has ${sizes}`, {
      hint: 'No image needs that much; check what was pushed there.',
    })
  }
  const bytes = Buffer.concat(await Array.fromAsync(blobBytes(source, descriptor, context)))
  checkDigest(bytes, descriptor.digest, "the image's configuration")
  return bytes
}
