import { createHash, type Hash } from 'node:crypto'
import { ForerunError } from '../errors.ts'

/** `algorithm:hex` of a registered algorithm (OCI image specification, "Digests"): sha256 or sha512. */
export type Digest = `${'sha256' | 'sha512'}:${string}`

const registered = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** @throws ForerunError `reference` when the text is not a digest of a registered algorithm. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new ForerunError('reference', `'${text.slice(0, 160)}' is not a digest`, {
      hint: 'A digest is sha256: with 64 or sha512: with 128 lower-case hexadecimal digits.',
    })
  }
  return text
}

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && registered.test(text)
}

export function digestAlgorithm(digest: Digest): 'sha256' | 'sha512' {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512'
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** The digest of bytes in memory, with the algorithm of `like` (default sha256). */
export function digestOf(bytes: Uint8Array, like: Digest = 'sha256:'): Digest {
  const algorithm = digestAlgorithm(like)
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** A running hash of the digest's own algorithm, to be compared with `finishDigest`. */
export function digester(like: Digest): Hash {
  return createHash(digestAlgorithm(like))
}

/** Ends a running hash of `digester(like)`. */
export function finishDigest(hash: Hash, like: Digest): Digest {
  return `${digestAlgorithm(like)}:${hash.digest('hex')}`
}
