import { ForerunError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { isDigest } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import { formatReference, type Reference, repositoryName } from '../../image/reference.ts'
import { checkDigest, type ManifestDocument, resolveManifest } from '../resolve-manifest.ts'
import type { ImageSource, TransferContext } from '../source.ts'
import { openMirrors } from './mirrors.ts'
import { readBlob } from './protocol/blob.ts'
import { requestFromRepository } from './protocol/request.ts'
import { nominalOrigin } from './transport/nominal-origin.ts'
import type { Registry, RegistryOptions } from './transport/registry.ts'
import { withRetries } from './transport/retries.ts'
import { wholeBody } from './transport/whole-body.ts'

/**
 * An image in a registry that speaks the OCI distribution specification, or Docker's before it, and in the mirrors that
 * registries.conf has for it: see `openMirrors`. Nothing is connected before the first call. A name without a registry
 * is to be made a full one before: see `shortNameCandidates`.
 *
 * Every failure is one ForerunError: `registry` (unreachable, TLS, faults that remain after the retries, answers that
 * make no sense), `unauthorized`, `image-not-found`, `not-an-image`, `manifest`, `platform`, `digest`, `limit`, and
 * `interrupted` when the signal aborts.
 *
 * @throws ForerunError `settings` for registries.conf.
 */
export function registrySource(reference: Reference, options: RegistryOptions = {}): ImageSource {
  const mirrors = openMirrors(reference, options)
  return {
    isRemote: true,
    async manifest(platform, context) {
      const read = (descriptor: Descriptor | undefined) =>
        mirrors.ask(context, (registry) => readManifest(registry, descriptor, context))
      return { reference: formatReference(reference), ...(await resolveManifest(read, platform)) }
    },
    blob: (descriptor, context, { offset: from = 0 } = {}) => {
      const read = (registry: Registry, offset: number) => readBlob(registry, descriptor, { offset, context })
      return mirrors.stream(descriptor.digest, { context, from, read })
    },
    distrust: ({ digest }, context) => mirrors.distrust(digest, context),
    async signatures(digest, context) {
      const { readSignatures } = await import('./signatures/signatures.ts')
      return mirrors.ask(context, (registry) =>
        readSignatures(registry, digest, { context, reference, place: options }),
      )
    },
    async tags(context) {
      const { listTags } = await import('./list-tags.ts')
      return mirrors.ask(context, (registry) => listTags(registry, context))
    },
    [Symbol.asyncDispose]: () => mirrors[Symbol.asyncDispose](),
  }
}

export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/** What a digest names is checked against it. */
async function readManifest(
  registry: Registry,
  descriptor: Descriptor | undefined,
  context: TransferContext,
): Promise<ManifestDocument> {
  const { reference } = registry
  const name = descriptor?.digest ?? reference.digest ?? reference.tag ?? 'latest'
  const path = `manifests/${name}`
  const url = new URL(`/v2/${registry.reference.path}/${path}`, registry.origin ?? nominalOrigin(registry.reference))
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
