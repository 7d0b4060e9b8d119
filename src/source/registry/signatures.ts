import type { Descriptor } from '../../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../../image/digest.ts'
import type { Reference } from '../../image/reference.ts'
import type { FoundSignature, ImageSignatures, SigstoreSignature } from '../../image/signature.ts'
import { mostSignatures, signaturesOfBlobs } from '../signature-blob.ts'
import type { TransferContext } from '../source.ts'
import { isBundleType, manifestType, readAttachment, tooMany } from './attachment.ts'
import { readLookaside } from './lookaside.ts'
import { readReferrers } from './referrers.ts'
import { signaturePlaces } from './registries-d.ts'
import type { Registry } from './registry.ts'

/**
 * What is attached to a manifest or index of a registry: in the signature storage beside it, and, where registries.d says
 * `use-sigstore-attachments`, in the registry itself, by cosign's tag `sha256-HEX.sig` and by the referrers.
 *
 * @param registry the endpoint that gave the manifest.
 * @param options.reference the image's name as asked for, by which registries.d and the storage know it. Default: the registry's.
 * @param options.folder in place of registries.d.
 * @throws ForerunError for every fault that is not a plain "there is none".
 */
export async function readSignatures(
  registry: Registry,
  digest: Digest,
  {
    context,
    reference = registry.reference,
    folder,
  }: {
    context: TransferContext
    reference?: Reference
    folder?: string
  },
): Promise<ImageSignatures> {
  const places = signaturePlaces(reference, folder === undefined ? {} : { folder })
  const stored = signaturesOfBlobs(await readLookaside(registry, places.lookaside, { digest, reference, context }))
  if (!places.attachments) {
    const sigstoreIgnored = `To look for signatures in the registry, ${places.enabling}.`
    return { ...stored, sigstoreIgnored }
  }
  // With sha512 it would be longer than a tag can be.
  const hasTag = digestAlgorithm(digest) === 'sha256'
  const tagged = hasTag
    ? await readAttachment(registry, { name: `sha256-${digestHex(digest)}.sig`, context })
    : undefined
  const referring = await readReferring(registry, digest, context)
  return { simple: stored.simple, sigstore: [...stored.sigstore, ...(tagged ?? []), ...referring] }
}

async function readReferring(
  registry: Registry,
  digest: Digest,
  context: TransferContext,
): Promise<FoundSignature<SigstoreSignature>[]> {
  const referrers = (await readReferrers(registry, digest, context)).filter(mayHoldSignature)
  if (referrers.length > mostSignatures) throw tooMany(registry, digest)
  const found: FoundSignature<SigstoreSignature>[] = []
  for (const { digest: name } of referrers) found.push(...((await readAttachment(registry, { name, context })) ?? []))
  return found
}

/** Of a bundle, its annotation tells what it states; attestations are not fetched. */
function mayHoldSignature({ mediaType, artifactType, annotations = {} }: Descriptor): boolean {
  if (mediaType !== manifestType) return false
  const predicate = annotations['dev.sigstore.bundle.predicateType']
  if (predicate !== undefined && predicate !== 'https://sigstore.dev/cosign/sign/v1') return false
  // Old indexes under the referrers tag have the configuration's type there, or nothing.
  const isUntold = artifactType === undefined || artifactType === 'application/vnd.oci.empty.v1+json'
  return isUntold || artifactType === 'application/vnd.dev.cosign.artifact.sig.v1+json' || isBundleType(artifactType)
}
