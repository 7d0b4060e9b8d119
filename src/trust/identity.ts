import { ForerunError } from '../errors.ts'
import { formatReference, parseReference, type Reference, repositoryName } from '../image/reference.ts'
import type { SignedIdentity } from './policy.ts'

/**
 * Whether a signature that was made for one name counts for an image: containers-policy.json(5), `signedIdentity`. What
 * cannot be read counts as no match.
 *
 * @param reference the image's name as asked for. With a tag and a digest the digest decides and the tag is left out, as
 * Podman has it. undefined for images without a name, for which only `exactReference` and `exactRepository` can match.
 * @param dockerReference the name that the signature holds.
 */
export function identityAccepts(
  identity: SignedIdentity,
  reference: Reference | undefined,
  dockerReference: string,
): boolean {
  const signed = named(dockerReference)
  if (signed === undefined) return false
  switch (identity.type) {
    case 'exactReference':
      return isSame(named(identity.dockerReference), signed)
    case 'exactRepository':
      return isSameRepository(named(identity.dockerRepository), signed)
    case 'matchExact':
      return isSame(wanted(reference), signed)
    case 'matchRepository':
      return isSameRepository(wanted(reference), signed)
    case 'matchRepoDigestOrExact':
      return isTagOrRepository(wanted(reference), signed)
    case 'remapIdentity':
      return isTagOrRepository(remapped(wanted(reference), identity), signed)
  }
}

/** Whether the words name neither a tag nor a digest. */
export function isNameOnly(words: string): boolean {
  return !/[:@]/.test(words.slice(words.lastIndexOf('/') + 1)) && !words.includes('@')
}

/** `full`: undefined without a tag or digest. No tag is supplied: a signature for a name alone is for no image. */
interface Named {
  readonly repository: string
  readonly full: string | undefined
  readonly isDigested: boolean
}

function named(words: string): Named | undefined {
  const reference = parsed(words)
  if (reference === undefined) return undefined
  const { digest } = reference
  const full = isNameOnly(words) ? undefined : formatReference(reference)
  return { repository: repositoryName(reference), full, isDigested: digest !== undefined }
}

function parsed(words: string): Reference | undefined {
  try {
    return parseReference(words)
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'reference') return undefined
    throw error
  }
}

function wanted(reference: Reference | undefined): Named | undefined {
  if (reference === undefined) return undefined
  const { domain, path, digest } = reference
  const full = formatReference(digest === undefined ? reference : { domain, path, digest })
  return { repository: repositoryName(reference), full, isDigested: digest !== undefined }
}

function isSame(one: Named | undefined, other: Named): boolean {
  return one?.full !== undefined && one.full === other.full
}

function isSameRepository(one: Named | undefined, other: Named): boolean {
  return one?.repository === other.repository
}

/** An image asked for by digest may be signed under any tag: the digest itself is compared elsewhere. */
function isTagOrRepository(one: Named | undefined, signed: Named): boolean {
  if (one === undefined || signed.full === undefined) return false
  return one.isDigested ? isSameRepository(one, signed) : isSame(one, signed)
}

function remapped(one: Named | undefined, rule: { prefix: string; signedPrefix: string }): Named | undefined {
  if (one?.full === undefined) return undefined
  const { prefix, signedPrefix } = rule
  if (one.repository !== prefix && !one.repository.startsWith(`${prefix}/`)) return one
  const full = signedPrefix + one.full.slice(prefix.length)
  const result = named(full)
  // `docker.io/busybox` would become `docker.io/library/busybox`, which nobody wrote.
  return result?.full === full ? result : undefined
}
