import type { Settings } from '../config/settings.ts'
import type { Emit } from '../events.ts'
import type { HostPaths } from '../host/paths.ts'
import type { ImageLocation } from '../image/location.ts'
import type { ImageSource } from '../source/source.ts'
import type { ImageTarget } from '../source/target.ts'
import type { SystemdManager } from '../systemd/manager.ts'
import type { Threads } from '../workers/threads.ts'

/** What an operation works with; `cli/wire.ts` makes the real one. */
export interface Context {
  readonly version: string
  readonly settings: Settings
  readonly paths: HostPaths
  readonly emit: Emit
  /** Raised by Ctrl-C and its kin. */
  readonly signal: AbortSignal
  /** Milliseconds that a lock is waited for; undefined: as long as it takes. */
  readonly lockTimeout?: number | undefined
  /** Those of this process, for one work after another. */
  readonly threads: Threads
  /** Where an image may be, in order: several places only for a name without a registry. @throws ForerunError `settings` */
  candidates(location: ImageLocation): Promise<readonly ImageLocation[]>
  source(location: ImageLocation, options: SourceOptions): Promise<ImageSource>
  /** @throws ForerunError `usage` for a place that forerun does not write to. */
  target(location: ImageLocation, options: SourceOptions): Promise<ImageTarget>
  /** The one connection of this process, made when first asked for. @throws ForerunError `systemd`, `permission`. */
  manager(): Promise<SystemdManager>
}

/** How to reach images; everything has its default in the containers tools' files. */
export interface SourceOptions {
  /** undefined: certificates are checked, and plain HTTP is spoken with loopback and where registries.conf says. */
  readonly tlsVerify?: boolean
  /** A folder with `*.crt`, `*.cert` and `*.key`, in place of `certs.d`. */
  readonly certDir?: string
  /** A file like `auth.json`, in place of all others. */
  readonly authfile?: string
  /** `USER[:PASSWORD]`, in place of all files. */
  readonly creds?: string
  /** `OS/ARCHITECTURE[/VARIANT]`; default: this host's. */
  readonly platform?: string
}
