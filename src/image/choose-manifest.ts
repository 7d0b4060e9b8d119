import type { Descriptor } from './descriptor.ts'
import { isIndexType, isManifestType } from './media-type.ts'
import { type Platform, unavailable, variantRank } from './platform.ts'

/**
 * The entry of an index for a platform: the best variant that runs there, and of equal ones the first, as the OCI image
 * specification asks. It may be an index again. An entry that names no platform is taken when no other fits; its
 * configuration then tells. Attestations and other artifacts beside the images are passed over.
 *
 * @throws ForerunError `platform`, naming what is offered.
 */
export function chooseManifest(manifests: readonly Descriptor[], wanted: Platform): Descriptor {
  const images = manifests.filter(isImage)
  const ranked = images
    .map((descriptor) => ({ descriptor, rank: descriptor.platform && variantRank(descriptor.platform, wanted) }))
    .filter(({ rank }) => rank !== undefined)
    .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))
  const chosen = ranked[0]?.descriptor ?? images.find(({ platform }) => platform === undefined)
  if (chosen !== undefined) return chosen
  const offered = images.map(({ platform }) => platform).filter((platform) => platform !== undefined)
  throw unavailable(wanted, offered)
}

function isImage({ mediaType, platform, annotations }: Descriptor): boolean {
  if (!isManifestType(mediaType) && !isIndexType(mediaType)) return false
  if (annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') return false
  return platform?.os !== 'unknown' && platform?.architecture !== 'unknown'
}
