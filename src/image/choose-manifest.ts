import type { Descriptor } from './descriptor.ts'
import { type IndexEntry, soundEntry } from './index-entry.ts'
import { isConfigurationType, isIndexType, isManifestType } from './media-type.ts'
import { type Platform, unavailable, variantRank } from './platform.ts'

/**
 * The entry of an index for a platform: the best variant that runs there, and of equal ones the first, as the OCI image
 * specification asks. It may be an index again. An entry that names no platform is taken when no other fits; its
 * configuration then tells. Attestations are passed over, and other artifacts wherever there is an image.
 *
 * @throws ForerunError `platform`, naming what is offered; `manifest` when the entry breaks the specification.
 */
export function chooseManifest(manifests: readonly IndexEntry[], wanted: Platform): Descriptor {
  const candidates = manifests.filter(mayBeImage)
  const images = candidates.filter((entry) => !isArtifact(entry))
  const chosen = bestEntry(images, wanted) ?? bestEntry(candidates, wanted)
  if (chosen !== undefined) return soundEntry(chosen)
  const platforms = images.map(({ platform }) => platform).filter((platform) => platform !== undefined)
  throw unavailable(
    wanted,
    platforms.filter(({ os, architecture }) => os !== '' && architecture !== ''),
  )
}

function bestEntry(entries: readonly IndexEntry[], wanted: Platform): IndexEntry | undefined {
  const ranked = entries
    .map((entry) => ({ entry, rank: entry.platform && variantRank(entry.platform, wanted) }))
    .filter(({ rank }) => rank !== undefined)
    .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))
  return ranked[0]?.entry ?? entries.find(({ platform }) => platform === undefined)
}

function mayBeImage({ mediaType, platform, annotations }: IndexEntry): boolean {
  // Without a type the document itself tells what it is.
  if (mediaType !== '' && !isManifestType(mediaType) && !isIndexType(mediaType)) return false
  if (annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') return false
  return platform?.os !== 'unknown' && platform?.architecture !== 'unknown'
}

/** An index repeats the type of a configuration where its manifest names no other. */
function isArtifact({ artifactType = '' }: IndexEntry): boolean {
  return artifactType !== '' && !isConfigurationType(artifactType)
}
