import { ForerunError } from '../../errors.ts'
import { isDigest } from '../../image/digest.ts'
import { formatReference, type Reference } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import type { ImageTarget, ManifestToWrite } from '../target.ts'
import { deleteManifest } from './delete-manifest.ts'
import { askToWrite } from './protocol/ask-to-write.ts'
import { uploadBlob } from './protocol/upload.ts'
import { dropBody } from './transport/answer.ts'
import { nominalOrigin } from './transport/nominal-origin.ts'
import { openRegistry, type Registry, type RegistryOptions } from './transport/registry.ts'
import { withRetries } from './transport/retries.ts'

/**
 * A repository of a registry that speaks the OCI distribution specification ("Push"), or Docker's before it. Nothing is
 * connected before the first call.
 *
 * Failures are ForerunErrors: `registry`, `unauthorized`, `image-not-found` for a repository that has to be made first,
 * `digest` when the registry took something for another thing, `reference`, and `interrupted` when the signal aborts.
 */
export function registryTarget(reference: Reference, options: RegistryOptions = {}): ImageTarget {
  const registry = openRegistry(reference, options)
  return {
    name: formatReference(reference),
    writeBlob: (descriptor, content, context) => uploadBlob(registry, descriptor, { content, context }),
    writeManifest: (document, context) => putManifest(registry, document, context),
    deleteManifest: (context) => deleteManifest(registry, context),
    [Symbol.asyncDispose]: () => registry.dispatcher.destroy(),
  }
}

/** Distribution specification, "Pushing Manifests". A registry that stores other bytes than it got is told of. */
async function putManifest(registry: Registry, document: ManifestToWrite, context: TransferContext): Promise<void> {
  const { reference } = registry
  const { mediaType, digest, bytes } = document
  checkWantedDigest(reference, document)
  const path = `manifests/${reference.tag ?? digest}`
  const url = new URL(`/v2/${reference.path}/${path}`, registry.origin ?? nominalOrigin(registry.reference))
  const answer = await withRetries(registry, url, {
    context,
    attempt: () =>
      askToWrite(registry, path, {
        ...{ what: `the manifest ${digest}`, method: 'PUT', body: bytes, context },
        ...{ headers: { 'content-type': mediaType }, accepted: [200, 201, 202] },
      }),
  })
  dropBody(answer)
  const stored = answer.header('docker-content-digest')
  if (stored === undefined || stored === digest || !isDigest(stored)) return
  throw new ForerunError('digest', `${answer.url.host} has stored the manifest ${digest} as ${stored}`, {
    hint: 'The registry, or a proxy before it, changes what it is sent. Ask those who run it.',
  })
}

function checkWantedDigest(reference: Reference, { digest }: ManifestToWrite): void {
  if (reference.digest === undefined || reference.digest === digest) return
  throw new ForerunError('reference', `the image's manifest is ${digest}, not ${reference.digest}`, {
    hint: 'Leave the digest out of the destination, or push the image that has it.',
  })
}
