import { digestOf } from '../image/digest.ts'
import { shownWords } from '../image/reference.ts'
import { identityAccepts } from './identity.ts'
import type { JudgedImage, Verdict } from './judgement.ts'
import { readKeyMaterial } from './key-material.ts'
import { verifiedText } from './openpgp.ts'
import { binaryKeyring } from './openpgp-keyring.ts'
import type { SignedByRequirement } from './policy.ts'
import { SignatureFault } from './signature-fault.ts'
import { parseSimpleSigning } from './simple-signing.ts'

/**
 * Whether one of the image's OpenPGP signatures is by one of the keys, for this image and for its name:
 * containers-policy.json(5), `signedBy`. A signature of an index that led to the manifest counts too.
 *
 * @throws ForerunError `policy` when a key cannot be read, or there is no gpgv.
 */
export async function verifySignedBy(requirement: SignedByRequirement, image: JudgedImage): Promise<Verdict> {
  const keyrings = requirement.keys.map((key) => {
    return binaryKeyring(readKeyMaterial(key), { name: 'path' in key ? key.path : 'keyData' })
  })
  const reasons: string[] = []
  for (const document of image.documents) {
    const { simple } = await image.signatures(document.digest)
    for (const { origin, content } of simple) {
      try {
        await verify(content, { keyrings, requirement, image })
        return { accepted: true }
      } catch (error) {
        if (!(error instanceof SignatureFault)) throw error
        reasons.push(`${origin.replace(/\p{Cc}/gu, '?')} ${error.message}`)
      }
    }
  }
  return { accepted: false, reasons }
}

async function verify(
  content: Buffer,
  {
    keyrings,
    requirement,
    image,
  }: { keyrings: readonly Buffer[]; requirement: SignedByRequirement; image: JudgedImage },
): Promise<void> {
  const payload = await verifiedText(content, { keyrings })
  const { digest, dockerReference } = parseSimpleSigning(payload, { type: 'atomic container signature' })
  // By its bytes: an image that is known by a sha512 digest may be signed by its sha256.
  if (!image.documents.some(({ bytes }) => digestOf(bytes, digest) === digest)) {
    throw new SignatureFault(`is of another image (${shownWords(dockerReference)}, ${shownDigest(digest)})`)
  }
  if (!identityAccepts(requirement.signedIdentity, image.reference, dockerReference)) {
    throw new SignatureFault(`is for another name (${shownWords(dockerReference)})`)
  }
}

function shownDigest(digest: string): string {
  return `${digest.slice(0, 19)}…`
}
