import type { Descriptor } from '../../../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../../../image/digest.ts'
import { type Reference, repositoryName } from '../../../image/reference.ts'
import type { FoundSignature, ImageSignatures, SigstoreSignature } from '../../../image/signature.ts'
import { signaturesOfBlobs } from '../../signature-blob.ts'
import type { TransferContext } from '../../source.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'
import { signaturePlaces } from '../config/registries-d.ts'
import type { Registry } from '../transport/registry.ts'
import { isBundleType, manifestType, readAttachment } from './attachment.ts'
import { readLookaside } from './lookaside.ts'
import { readReferrers } from './referrers.ts'
import { type SignatureBudget, signatureBudget } from './signature-budget.ts'

/**
 * What is attached to a manifest or index of a registry: in the signature storage beside it, and, where registries.d says
 * `use-sigstore-attachments`, in the registry itself, by cosign's tag `sha256-HEX.sig` and by the referrers.
 *
 * @param registry the endpoint that gave the manifest.
 * @param options.reference the image's name as asked for, by which registries.d and the storage know it. Default: the registry's.
 * @param options.place whose registries.d, and whose storage where that names none.
 * @throws ForerunError for every fault that is not a plain "there is none".
 */
export async function readSignatures(
  registry: Registry,
  digest: Digest,
  {
    context,
    reference = registry.reference,
    place = {},
  }: {
    context: TransferContext
    reference?: Reference
    place?: ContainersPlace
  },
): Promise<ImageSignatures> {
  const places = signaturePlaces(reference, place)
  const budget = signatureBudget()
  const stored = signaturesOfBlobs(
    await readLookaside(registry, places.lookaside, { digest, reference, budget, context }),
  )
  if (!places.attachments) {
    const sigstoreIgnored = `To look for signatures in the registry, ${places.enabling}.`
    return { ...stored, sigstoreIgnored }
  }
  // With sha512 it would be longer than a tag can be.
  const hasTag = digestAlgorithm(digest) === 'sha256'
  const tagged = hasTag
    ? await readAttachment(registry, { name: `sha256-${digestHex(digest)}.sig`, budget, context })
    : undefined
  const referring = await readReferring(registry, digest, { budget, context })
  return { simple: stored.simple, sigstore: [...stored.sigstore, ...(tagged ?? []), ...referring] }
}

async function readReferring(
  registry: Registry,
  digest: Digest,
  { budget, context }: { budget: SignatureBudget; context: TransferContext },
): Promise<FoundSignature<SigstoreSignature>[]> {
  const referrers = (await readReferrers(registry, digest, context)).filter(mayHoldSignature)
  // Before they are fetched: what holds none would not count otherwise.
  budget.expect(referrers.length, `${repositoryName(registry.reference)}@${digest}`)
  const found: FoundSignature<SigstoreSignature>[] = []
  for (const { digest: name } of referrers) {
    const attached = await readAttachment(registry, { name, budget, context })
    found.push(...(attached ?? []))
  }
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
