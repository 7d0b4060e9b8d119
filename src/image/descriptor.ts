import type { Digest } from './digest.ts'
import type { Platform } from './platform.ts'

/** OCI image specification, "OCI Content Descriptors". */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
  readonly artifactType?: string
}
