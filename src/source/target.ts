import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { TransferContext } from './source.ts'

/**
 * Where an image is written to, blob by blob and the manifest last: until that is there, nobody finds the image. Writing
 * the same again is harmless. Dispose of it to close files and connections.
 */
export interface ImageTarget extends AsyncDisposable {
  /** For messages and results: `registry.example/etcd:3.5`, `oci:/srv/etcd:3.5`. */
  readonly name: string

  /**
   * Brings a blob to the target, unless it has it. Blobs may be written side by side. Transport faults are retried inside;
   * what still fails is a ForerunError, or what the content threw.
   */
  writeBlob(descriptor: Descriptor, content: BlobContent, context: TransferContext): Promise<BlobOutcome>

  /** Makes the image to be found under the target's name. All of its blobs have been written. */
  writeManifest(document: ManifestToWrite, context: TransferContext): Promise<void>

  /** Takes away what the target's name stands for, index or manifest. Only registries can. */
  deleteManifest?(context: TransferContext): Promise<Digest>
}

/**
 * `present`: the target had it; `mounted`: it took it from another repository of the same registry; `sent`: its bytes were
 * written.
 */
export type BlobOutcome = 'present' | 'mounted' | 'sent'

export interface BlobContent {
  /**
   * The bytes from the first on; called again for each attempt. They end only after as many as the descriptor says, of its
   * digest; otherwise they throw, and the target must not keep what it got.
   */
  open(): AsyncIterable<Buffer>
  /** Repositories (`docker.io/library/etcd`) that probably have the blob, best first. */
  readonly neighbours: readonly string[]
}

export interface ManifestToWrite {
  readonly mediaType: string
  readonly digest: Digest
  /** Verbatim. */
  readonly bytes: Buffer
}
