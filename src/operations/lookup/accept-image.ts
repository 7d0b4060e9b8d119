import type { Digest } from '../../image/digest.ts'
import type { ImageLocation } from '../../image/location.ts'
import { parseReference } from '../../image/reference.ts'
import type { ImageSignatures } from '../../image/signature.ts'
import type { ImageSource, ResolvedManifest, TransferContext } from '../../source/source.ts'
import { acceptanceOf } from '../../trust/acceptance.ts'
import { judgeImage } from '../../trust/judge.ts'
import { readPolicy } from '../../trust/read-policy.ts'
import { referenceOf, scopesOf } from '../../trust/scopes.ts'

/**
 * Asks the host's policy.json about an image, before anything of it is used. Signatures are fetched only when the policy wants
 * them, once for each manifest or index.
 *
 * @param location where the user wants the image from. A short name is judged as what it stood for.
 * @returns what `resolveImage` takes as `accept`; it throws ForerunError `policy` when the image is not accepted.
 */
export function acceptImage(
  location: ImageLocation,
  source: Pick<ImageSource, 'signatures'>,
  context: TransferContext,
): (manifest: ResolvedManifest) => Promise<void> {
  const fetched = new Map<Digest, Promise<ImageSignatures>>()
  const signatures = (digest: Digest): Promise<ImageSignatures> => {
    const found = fetched.get(digest) ?? source.signatures(digest, context)
    fetched.set(digest, found)
    return found
  }
  return async (manifest) => {
    const judged = judgedLocation(location, manifest)
    await judgeImage(readPolicy(), {
      transport: judged.transport,
      scopes: scopesOf(judged),
      reference: referenceOf(judged),
      documents: [manifest, ...manifest.indexes.toReversed()].map(({ digest, bytes }) => ({ digest, bytes })),
      signatures,
    })
  }
}

/**
 * What an image from there has to have met, under its name there, to be used as it is in the store, without being judged again;
 * undefined when nothing is required.
 */
export function neededAcceptance(location: ImageLocation): string | undefined {
  const { transport } = location
  return acceptanceOf(readPolicy(), { transport, scopes: scopesOf(location), reference: referenceOf(location) })
}

/** What registries.conf made of a short name is known only from the answer. */
function judgedLocation(location: ImageLocation, { reference }: ResolvedManifest): ImageLocation {
  if (location.transport !== 'docker' || location.shortName === undefined) return location
  return { transport: 'docker', reference: parseReference(reference), shortName: undefined }
}
