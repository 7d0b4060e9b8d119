import type { Descriptor } from './descriptor.ts'

/** An OCI image manifest or a Docker schema 2 manifest; both have this shape. */
export interface ImageManifest {
  readonly mediaType: string
  readonly config: Descriptor
  /** Base first. */
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** An OCI image index or a Docker manifest list. */
export interface ImageIndex {
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}
