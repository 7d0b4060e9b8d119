import type { Digest } from './digest.ts'

/** OCI image specification, "OCI Image Configuration", as far as forerun reads it. Absent lists are empty. */
export interface ImageConfiguration {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  /** RFC 3339. */
  readonly created?: string
  readonly author?: string
  readonly config: {
    readonly user: string
    readonly exposedPorts: readonly string[]
    readonly env: readonly string[]
    readonly entrypoint: readonly string[]
    readonly cmd: readonly string[]
    readonly volumes: readonly string[]
    readonly workingDir: string
    readonly labels: Readonly<Record<string, string>>
    readonly stopSignal?: string
  }
  /** Uncompressed layers, base first; as many as the manifest has layers. */
  readonly diffIds: readonly Digest[]
}
