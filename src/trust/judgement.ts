import type { Digest } from '../image/digest.ts'
import type { Transport } from '../image/location.ts'
import type { Reference } from '../image/reference.ts'
import type { ImageSignatures, SignedDocument } from '../image/signature.ts'

/** An image about which a policy is asked, before anything of it is used. */
export interface JudgedImage {
  readonly transport: Transport
  /** From the most specific to the least, without the transport's default: containers-policy.json(5), "Supported transports and their scopes". */
  readonly scopes: readonly string[]
  /** The image's name as the user wrote it; undefined for transports whose images have none. */
  readonly reference: Reference | undefined
  /** The manifest, then the indexes that led to it, innermost first: a signature of an index covers what it names by digest. */
  readonly documents: readonly SignedDocument[]
  /** Fetched when a requirement needs them, once for each document. */
  readonly signatures: (digest: Digest) => Promise<ImageSignatures>
}

/**
 * What a requirement says of an image. `reasons` tell of each signature that was found why it does not count; none: none was found.
 * `hint`: what to do, where that is known better than by the kind of the requirement.
 */
export type Verdict =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reasons: readonly string[]; readonly hint?: string }
