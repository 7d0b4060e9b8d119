import type { Digest } from './digest.ts'

/**
 * What is attached to one manifest to prove where it comes from, as bytes that nobody has verified yet. Fetching is
 * `source`'s, believing is `trust`'s.
 */
export interface ImageSignatures {
  /** OpenPGP messages that hold a "simple signing" document (containers-signature(5)). */
  readonly simple: readonly FoundSignature<Buffer>[]
  /** Sigstore's, of cosign's tag scheme or of a bundle. */
  readonly sigstore: readonly FoundSignature<SigstoreSignature>[]
  /** What to do so that Sigstore's are looked for everywhere, in a sentence. undefined: they were. */
  readonly sigstoreIgnored?: string
}

export interface FoundSignature<Content> {
  /** Where it was found, in a user's words: `/var/lib/containers/sigstore/…/signature-1`. */
  readonly origin: string
  readonly content: Content
}

export type SigstoreSignature =
  | {
      /** cosign's tag scheme: a layer of the manifest under the tag `sha256-HEX.sig`. */
      readonly kind: 'simple-signing'
      readonly payload: Buffer
      /** Of the layer's descriptor: `dev.cosignproject.cosign/signature` and its kin. */
      readonly annotations: Readonly<Record<string, string>>
    }
  /** A Sigstore bundle (`application/vnd.dev.sigstore.bundle.v0.3+json`) of the referrers. */
  | { readonly kind: 'bundle'; readonly bytes: Buffer }

/** A manifest or index by its bytes, as a signature may be made for it. */
export interface SignedDocument {
  readonly digest: Digest
  readonly bytes: Buffer
}
