import type { Emit } from '../events.ts'
import type { ImageConfiguration } from '../image/configuration.ts'
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageManifest } from '../image/manifest.ts'
import type { Platform } from '../image/platform.ts'

/**
 * Where an image comes from. Every byte that a source returns as a manifest or configuration has been verified against
 * its digest and size; blobs are verified by the reader of the layer, since they are streamed.
 */
export interface ImageSource {
  /** The image under its full name, as it is stored: `docker.io/library/etcd:3.5`. */
  readonly reference: string

  /** The image for one platform: nested indexes are followed, the manifest and configuration fetched and checked. */
  resolve(platform: Platform, context: TransferContext): Promise<ResolvedImage>

  /**
   * The bytes of a blob as stored by the source (compressed). Transport faults are retried inside, from the same byte
   * where the source can; what still fails ends the iteration with a ForerunError.
   */
  blob(descriptor: Descriptor, context: TransferContext): AsyncIterable<Buffer>
}

export interface TransferContext {
  readonly signal: AbortSignal
  readonly emit: Emit
}

export interface ResolvedImage {
  readonly reference: string
  readonly manifestDigest: Digest
  /** Verbatim. */
  readonly manifestBytes: Buffer
  readonly manifest: ImageManifest
  /** Verbatim. */
  readonly configurationBytes: Buffer
  readonly configuration: ImageConfiguration
}
