import { ForerunError } from '../../errors.ts'
import { parseImageConfiguration } from '../../image/configuration.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { type Digest, digestOf, isDigest } from '../../image/digest.ts'
import { malformed } from '../../image/json.ts'
import { type ParsedManifest, parseManifest } from '../../image/manifest.ts'
import { checkPlatform, choosePlatform, type Platform } from '../../image/platform.ts'
import { formatReference, type Reference, repositoryName } from '../../image/reference.ts'
import type { ImageSource, ResolvedImage, TransferContext } from '../source.ts'
import { wholeBody } from './answer.ts'
import { readBlob } from './blob.ts'
import { nominalOrigin } from './origin.ts'
import { openRegistry, type Registry, type RegistryOptions } from './registry.ts'
import { requestFromRepository } from './request.ts'
import { withRetries } from './retries.ts'

/**
 * An image in a registry that speaks the OCI distribution specification, or Docker's before it. Reads anonymously.
 * Nothing is connected before the first call, and nothing has to be closed.
 *
 * Every failure is one ForerunError: `registry` (unreachable, TLS, faults that remain after the retries, answers that
 * make no sense), `unauthorized`, `image-not-found`, `not-an-image`, `manifest`, `platform`, `digest`, `limit`, and
 * `interrupted` when the signal aborts.
 */
export function registrySource(reference: Reference, options: RegistryOptions = {}): ImageSource {
  const registry = openRegistry(reference, options)
  return {
    reference: formatReference(reference),
    resolve: (platform, context) => resolveImage(registry, platform, context),
    blob: (descriptor, context) => readBlob(registry, descriptor, context),
  }
}

/** Deeper than this an index of indexes is a trap. */
const deepestIndex = 4

async function resolveImage(registry: Registry, platform: Platform, context: TransferContext): Promise<ResolvedImage> {
  let document = await readManifest(registry, registry.reference.digest ?? registry.reference.tag ?? 'latest', context)
  for (let depth = 1; document.parsed.kind === 'index'; depth += 1) {
    if (depth > deepestIndex) {
      throw new ForerunError('limit', `the image's index holds further indexes, more than ${deepestIndex} deep`, {
        hint: 'Push the image with a simple index, or name one of its manifests by digest.',
      })
    }
    const descriptor = choosePlatform(document.parsed.index.manifests, platform)
    document = await readManifest(registry, descriptor.digest, context)
    checkSize(document.bytes, descriptor)
  }
  const { bytes: manifestBytes, digest: manifestDigest } = document
  const { manifest } = document.parsed
  const configurationBytes = await readConfiguration(registry, manifest.config, context)
  const configuration = parseImageConfiguration(configurationBytes)
  if (configuration.diffIds.length !== manifest.layers.length) {
    const counts = `${configuration.diffIds.length} diff ids for ${manifest.layers.length} layers`
    throw malformed(`the image's configuration has ${counts}`)
  }
  checkPlatform(configuration, platform)
  const reference = formatReference(registry.reference)
  return { reference, manifestDigest, manifestBytes, manifest, configurationBytes, configuration }
}

interface ManifestDocument {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly parsed: ParsedManifest
}

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/** `name` is a tag or a digest; what a digest names is checked against it. */
async function readManifest(registry: Registry, name: string, context: TransferContext): Promise<ManifestDocument> {
  const path = `manifests/${name}`
  const url = new URL(`/v2/${registry.reference.path}/${path}`, registry.origin ?? nominalOrigin(registry))
  const limit = registry.settings.documentLimit
  return withRetries(registry, url, {
    context,
    attempt: async () => {
      const headers = { accept: manifestTypes }
      const answer = await requestFromRepository(registry, path, {
        headers,
        missing: notFound(registry, name),
        context,
      })
      const bytes = await wholeBody(answer, { limit, signal: context.signal, document: 'the manifest' })
      const claim = isDigest(name) ? name : answer.header('docker-content-digest')
      const digest = checkDigest(bytes, isDigest(claim) ? claim : undefined, 'the manifest')
      return { bytes, digest, parsed: parseManifest(bytes, answer.header('content-type')) }
    },
  })
}

function notFound({ reference }: Registry, name: string): ForerunError {
  const kind = isDigest(name) ? 'manifest' : 'tag'
  return new ForerunError('image-not-found', `${repositoryName(reference)} has no ${kind} ${name}, or does not exist`, {
    hint: `Check the spelling of the repository and the ${isDigest(name) ? 'digest' : 'tag'}.`,
  })
}

async function readConfiguration(
  registry: Registry,
  descriptor: Descriptor,
  context: TransferContext,
): Promise<Buffer> {
  const limit = registry.settings.documentLimit
  if (descriptor.size > limit) {
    throw new ForerunError('limit', `the image's configuration has ${descriptor.size} bytes, more than ${limit}`, {
      hint: 'No image needs that much; check what was pushed there.',
    })
  }
  const bytes = Buffer.concat(await Array.fromAsync(readBlob(registry, descriptor, context)))
  checkDigest(bytes, descriptor.digest, "the image's configuration")
  return bytes
}

function checkSize(bytes: Buffer, { digest, size }: Descriptor): void {
  if (bytes.length === size) return
  throw new ForerunError('digest', `the manifest ${digest} has ${bytes.length} bytes where its index says ${size}`, {
    hint: 'The index is damaged. Push the image again.',
  })
}

/** The digest computed over the bytes, which must be the one that was claimed. */
function checkDigest(bytes: Buffer, claim: Digest | undefined, document: string): Digest {
  const digest = digestOf(bytes, claim)
  if (claim === undefined || digest === claim) return digest
  throw new ForerunError('digest', `${document} is ${digest}, not ${claim} as it should be`, {
    hint: 'The registry or something between changed it. Try again; if it remains, push the image again.',
  })
}
