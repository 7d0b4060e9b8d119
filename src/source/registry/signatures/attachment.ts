import * as v from 'valibot'
import { absent, type Descriptor, descriptorSchema } from '../../../image/descriptor.ts'
import { isDigest } from '../../../image/digest.ts'
import { parseJson } from '../../../image/json.ts'
import { repositoryName } from '../../../image/reference.ts'
import type { FoundSignature, SigstoreSignature } from '../../../image/signature.ts'
import { checkDigest } from '../../resolve-manifest.ts'
import { simpleSigningType } from '../../signature-blob.ts'
import type { TransferContext } from '../../source.ts'
import { readBlob } from '../protocol/blob.ts'
import { requestFromRepository } from '../protocol/request.ts'
import { dropBody } from '../transport/answer.ts'
import { displayUrl } from '../transport/failure.ts'
import { nominalOrigin } from '../transport/nominal-origin.ts'
import type { Registry } from '../transport/registry.ts'
import { withRetries } from '../transport/retries.ts'
import { wholeBody } from '../transport/whole-body.ts'
import type { SignatureBudget } from './signature-budget.ts'

/** `name` is a tag or a digest. */
type Place = { readonly name: string; readonly budget: SignatureBudget; readonly context: TransferContext }

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** A repository's answer. `link`: its header of that name, which tells where a list goes on. */
export interface AttachedDocument {
  readonly bytes: Buffer
  readonly url: URL
  readonly link: string | undefined
}

/**
 * The Sigstore signatures among the layers of one attached manifest; other layers (attestations, lists of parts) are not
 * fetched. undefined when there is no such manifest.
 *
 * @throws ForerunError `digest` when a layer is not what its descriptor says; `manifest`, `limit`, and as `requestFromRepository`.
 */
export async function readAttachment(
  registry: Registry,
  { name, budget, context }: Place,
): Promise<FoundSignature<SigstoreSignature>[] | undefined> {
  const document = await readDocument(registry, `manifests/${name}`, { accept: manifestType, context })
  if (document === undefined) return undefined
  if (isDigest(name)) checkDigest(document.bytes, name, 'the manifest of a signature')
  const { layers = [] } = parseJson(document.bytes, attachmentSchema, { document: 'the manifest of a signature' })
  const separator = isDigest(name) ? '@' : ':'
  const origin = `${repositoryName(registry.reference)}${separator}${name}`
  const { length } = layers.filter(({ mediaType }) => mediaType === simpleSigningType || isBundleType(mediaType))
  budget.expect(length, origin)
  const found: FoundSignature<SigstoreSignature>[] = []
  for (const [index, layer] of layers.entries()) {
    const content = await readSignature(registry, layer, { budget, context })
    if (content !== undefined) found.push({ origin: layers.length === 1 ? origin : `${origin} #${index + 1}`, content })
  }
  return found
}

/** A document of the repository, held in memory. undefined when it is not there. */
export async function readDocument(
  registry: Registry,
  path: string | URL,
  { accept, context }: { accept: string; context: TransferContext },
): Promise<AttachedDocument | undefined> {
  const { origin = nominalOrigin(registry.reference), reference, settings } = registry
  const url = typeof path === 'string' ? new URL(`/v2/${reference.path}/${path}`, origin) : path
  return withRetries(registry, url, {
    context,
    attempt: async () => {
      const answer = await requestFromRepository(registry, path, { headers: { accept }, accepted: [200, 404], context })
      if (answer.status === 404) {
        dropBody(answer)
        return undefined
      }
      const limit = settings.documentLimit
      const bytes = await wholeBody(answer, { limit, signal: context.signal, document: displayUrl(answer.url) })
      return { bytes, url: answer.url, link: answer.header('link') }
    },
  })
}

const attachmentSchema = v.object({ layers: absent(v.array(descriptorSchema)) })

async function readSignature(
  registry: Registry,
  layer: Descriptor,
  place: Omit<Place, 'name'>,
): Promise<SigstoreSignature | undefined> {
  const { mediaType, annotations = {} } = layer
  if (mediaType === simpleSigningType) {
    return { kind: 'simple-signing', payload: await readLayer(registry, layer, place), annotations }
  }
  if (isBundleType(mediaType)) return { kind: 'bundle', bytes: await readLayer(registry, layer, place) }
  return undefined
}

/** All versions: `application/vnd.dev.sigstore.bundle.v0.3+json`, `application/vnd.dev.sigstore.bundle+json;version=0.1`. */
export function isBundleType(mediaType: string): boolean {
  return /^application\/vnd\.dev\.sigstore\.bundle(?:\.v\d+\.\d+)?\+json(?:;|$)/.test(mediaType)
}

async function readLayer(
  registry: Registry,
  layer: Descriptor,
  { budget, context }: Omit<Place, 'name'>,
): Promise<Buffer> {
  budget.spend(layer.size, `${repositoryName(registry.reference)}@${layer.digest}`)
  if (layer.data !== undefined) return layer.data
  const bytes = Buffer.concat(await Array.fromAsync(readBlob(registry, layer, { offset: 0, context })))
  checkDigest(bytes, layer.digest, 'a signature')
  return bytes
}
