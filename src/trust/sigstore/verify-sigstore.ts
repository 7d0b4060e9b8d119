import type { FoundSignature, SigstoreSignature } from '../../image/signature.ts'
import type { JudgedImage, Verdict } from '../judgement.ts'
import type { SignedIdentity, SigstoreSignedRequirement } from '../policy.ts'
import { SignatureFault } from '../signature-fault.ts'
import { readBundle } from './bundle-signature.ts'
import { type Claim, checkClaim } from './claim.ts'
import { cosignClaim, readCosignSignature } from './cosign-signature.ts'
import { firstThatHolds } from './first-that-holds.ts'
import { checkSigner } from './signed-message.ts'
import { readTrustRoot, type TrustRoot } from './trust-root.ts'

/**
 * Whether an image has a Sigstore signature that a requirement accepts (containers-policy.json(5), `sigstoreSigned`): one of its
 * manifest, or of an index that led to it. Everything is verified offline. One good signature is enough, whatever the others are.
 *
 * @throws ForerunError `policy` when a key that the policy names cannot be read, and what fetching the signatures throws. Never for
 * what a signature holds.
 */
export async function verifySigstore(requirement: SigstoreSignedRequirement, image: JudgedImage): Promise<Verdict> {
  const root = readTrustRoot(requirement)
  const reasons = new Set<string>()
  let hint: string | undefined
  for (const { digest } of image.documents) {
    const { sigstore, sigstoreIgnored } = await image.signatures(digest)
    for (const found of sigstore) {
      const reason = faultOf(found, image, { root, identity: requirement.signedIdentity })
      if (reason === undefined) return { accepted: true }
      reasons.add(reason)
    }
    hint ??= sigstoreIgnored
  }
  return { accepted: false, reasons: [...reasons], ...(hint !== undefined && { hint }) }
}

type Wanted = { readonly root: TrustRoot; readonly identity: SignedIdentity }

/** undefined: the signature counts. */
function faultOf(
  { origin, content }: FoundSignature<SigstoreSignature>,
  image: JudgedImage,
  wanted: Wanted,
): string | undefined {
  try {
    const claims = verifiedClaims(content, image, wanted.root)
    // A statement may be about several things, of which one must be the image.
    firstThatHolds(claims, (claim) => checkClaim(claim, image, wanted.identity), { nothing: 'names no image' })
    return undefined
  } catch (error) {
    if (error instanceof SignatureFault) return `${origin} ${error.message}`
    throw error
  }
}

/** What is claimed is looked at only after it is known who claims it. */
function verifiedClaims(content: SigstoreSignature, image: JudgedImage, root: TrustRoot): Claim[] {
  if (content.kind === 'simple-signing') {
    checkSigner(readCosignSignature(content, root), root)
    return [cosignClaim(content)]
  }
  const { signed, claims } = readBundle(content.bytes, image, root)
  checkSigner(signed, root)
  return claims()
}
