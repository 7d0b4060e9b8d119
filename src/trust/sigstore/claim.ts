import { type Digest, digestOf } from '../../image/digest.ts'
import { repositoryName, shownWords } from '../../image/reference.ts'
import { identityAccepts, isNameOnly } from '../identity.ts'
import type { JudgedImage } from '../judgement.ts'
import type { SignedIdentity } from '../policy.ts'
import { SignatureFault } from '../signature-fault.ts'

/** For what a signature says that it was made. */
export interface Claim {
  readonly digest: Digest
  /** undefined: the signature names nothing but the digest. */
  readonly dockerReference: string | undefined
}

/**
 * Checks that a signature is for the image, and for its name as the policy wants it.
 *
 * cosign's bundles (cosign 3's default) name no image: all that binds one to a repository is that it lies there. containers/image
 * reads none for that reason. Here such a bundle counts as one for the repository of the image as asked for, without tag and digest,
 * so that only `matchRepository` and `exactRepository` accept it, as they accept what cosign made before, which names just the
 * repository. What is weaker than there: who can write to the repository can put there another image that the same signer signed elsewhere,
 * together with its bundle. Who signs for several purposes keeps them apart by keys, or by making cosign sign the name, too
 * (`cosign sign -a docker-reference=REGISTRY/REPOSITORY:TAG`), which is then held against the policy like any other.
 *
 * @throws SignatureFault
 */
export function checkClaim(
  { digest, dockerReference }: Claim,
  image: Pick<JudgedImage, 'documents' | 'reference'>,
  identity: SignedIdentity,
): void {
  if (!image.documents.some(({ bytes }) => digestOf(bytes, digest) === digest)) {
    throw new SignatureFault(`is for another image, ${digest}`)
  }
  const { reference } = image
  const name = dockerReference ?? (reference === undefined ? '' : repositoryName(reference))
  if (identityAccepts(identity, reference, name)) return
  const wants = `the policy wants signedIdentity ${identity.type}`
  if (dockerReference === undefined) {
    throw new SignatureFault(
      `names no image: a bundle counts under signedIdentity matchRepository or exactRepository, but ${wants}`,
    )
  }
  // What cosign writes unless told otherwise; the default of signedIdentity never accepts it.
  const only = isNameOnly(dockerReference) ? ' without a tag' : ''
  throw new SignatureFault(`is for ${shownWords(dockerReference)}${only}, and ${wants}`)
}
