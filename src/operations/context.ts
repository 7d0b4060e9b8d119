import type { Settings } from '../config/settings.ts'
import type { Emit } from '../events.ts'
import type { HostPaths } from '../host/paths.ts'
import type { Reference } from '../image/reference.ts'
import type { ImageSource } from '../source/source.ts'
import type { SystemdManager } from '../systemd/manager.ts'

/** What an operation works with; `cli/wire.ts` makes the real one. */
export interface Context {
  readonly version: string
  readonly settings: Settings
  readonly paths: HostPaths
  readonly emit: Emit
  /** Raised by Ctrl-C and its kin. */
  readonly signal: AbortSignal
  source(reference: Reference, options: SourceOptions): Promise<ImageSource>
  /** The one connection of this process, made when first asked for. @throws ForerunError `systemd`, `permission`. */
  manager(): Promise<SystemdManager>
}

export interface SourceOptions {
  /** undefined: certificates are checked, and plain HTTP is spoken with loopback only. */
  readonly tlsVerify: boolean | undefined
}
