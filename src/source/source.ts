import type { Emit } from '../events.ts'
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageIndex, ImageManifest } from '../image/manifest.ts'
import type { Platform } from '../image/platform.ts'
import type { ImageSignatures, SignedDocument } from '../image/signature.ts'

/**
 * Where an image comes from. Manifests have been verified against their digest and size where something names those;
 * blobs are verified by their reader, since they are streamed. Dispose of it to close files and connections.
 */
export interface ImageSource extends AsyncDisposable {
  /** Whether what was received once is worth keeping, so that a killed pull goes on where it was. */
  readonly isRemote: boolean

  /** The manifest for one platform; nested indexes are followed. What it names is not fetched. */
  manifest(platform: Platform, context: TransferContext): Promise<ResolvedManifest>

  /**
   * The bytes of a blob as stored by the source (compressed), from `offset` on. Transport faults are retried inside, from
   * the same byte where the source can; what still fails ends the iteration with a ForerunError.
   */
  blob(descriptor: Descriptor, context: TransferContext, options?: { offset?: number }): AsyncIterable<Buffer>

  /**
   * For a source of several places: told that a blob's bytes were wrong, it takes them from elsewhere from now on.
   *
   * @returns whether it can.
   */
  distrust?(descriptor: Descriptor, context: TransferContext): boolean

  /**
   * For a source that can only be read forwards: the layers in the order in which they come, to be read one after the
   * other. undefined: in any order and side by side.
   */
  forwardOrder?(layers: readonly Descriptor[]): readonly Descriptor[] | undefined

  /** What is attached to a manifest or index to prove where it comes from, as far as the source keeps such things. */
  signatures(digest: Digest, context: TransferContext): Promise<ImageSignatures>

  /** For a registry: all tags of the repository, in any order. */
  tags?(context: TransferContext): Promise<readonly string[]>
}

export interface TransferContext {
  readonly signal: AbortSignal
  readonly emit: Emit
}

export interface ResolvedManifest {
  /** The name under which the image is stored: `docker.io/library/etcd:3.5`. */
  readonly reference: string
  /** The indexes that led to the manifest, outermost first. */
  readonly indexes: readonly (SignedDocument & { readonly index: ImageIndex })[]
  readonly digest: Digest
  /** Verbatim. */
  readonly bytes: Buffer
  readonly manifest: ImageManifest
}
