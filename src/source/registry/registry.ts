import type { Dispatcher } from 'undici'
import type { Reference } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import { createDispatcher } from './dispatcher.ts'

export interface RegistryOptions {
  /**
   * Absent: TLS with verified certificates, and plain HTTP on a loopback address that does not speak TLS. `true`: TLS
   * with verified certificates. `false`: TLS without verification, and plain HTTP where there is no TLS.
   */
  readonly tlsVerify?: boolean
  /** Certificate authorities in PEM that are believed beside the system's. */
  readonly certificates?: string
  readonly userAgent?: string
  /** Whom to be towards a registry; asked when it wants to know. Default: nobody. */
  readonly credentials?: CredentialSource
  /** How often a request is tried again before it fails; a long enough run of bytes starts the count anew. Default 5. */
  readonly retries?: number
  /** Milliseconds before the first retry, doubled for each further one up to the longest. Default 500 and 60,000. */
  readonly delays?: { readonly first?: number; readonly longest?: number }
  /** Milliseconds until connected, until an answer begins, and between bytes. Default 10,000, 60,000 and 60,000. */
  readonly timeouts?: { readonly connect?: number; readonly headers?: number; readonly idle?: number }
  /** Bytes that a manifest, a configuration or a token answer may have. Default 4 MiB. */
  readonly documentLimit?: number
}

/** Looks up whom to be for a repository. undefined: nobody; pulling may be free. @throws ForerunError `credentials` */
export type CredentialSource = (reference: Reference, context: TransferContext) => Promise<Credentials | undefined>

export type Credentials =
  | { readonly user: string; readonly password: string }
  /** An OAuth2 refresh token, which `login` of some registries gives in place of a password. */
  | { readonly identityToken: string }

/** One repository of one registry, with what is learnt about it while it is read. */
export interface Registry {
  readonly reference: Reference
  readonly settings: RegistrySettings
  readonly dispatcher: Dispatcher
  /** Where it was found to answer; undefined until then. */
  origin: string | undefined
  /** Whether it has answered at all. A registry that has and is gone may come back; one that never did is a mistake. */
  reached: boolean
  /** By `scope` in the words of the token protocol. */
  readonly authorizations: Map<string, Authorization>
}

/** What a token is to allow: in the repository, and reading another one of which a blob is mounted. */
export interface Scope {
  readonly actions: 'pull' | 'pull,push'
  readonly mountFrom?: string
}

export interface Authorization {
  /** Value of the `Authorization` header. */
  readonly header: string
  /** In milliseconds of `performance.now()`. */
  readonly expires: number
  /** The `WWW-Authenticate` that it answers, to get the next one. */
  readonly challenge: string
  /** Who one is to the registry, in words for an error; undefined: nobody. */
  readonly identity: string | undefined
}

export type RegistrySettings = ReturnType<typeof withDefaults>

/** Makes the handle; nothing is connected yet. Connections that lie idle do not keep the process alive. */
export function openRegistry(reference: Reference, options: RegistryOptions = {}): Registry {
  const settings = withDefaults(options)
  return {
    reference,
    settings,
    dispatcher: createDispatcher(settings),
    origin: undefined,
    reached: false,
    authorizations: new Map(),
  }
}

function withDefaults(options: RegistryOptions) {
  return {
    tlsVerify: options.tlsVerify,
    certificates: options.certificates,
    userAgent: options.userAgent ?? 'forerun',
    credentials: options.credentials ?? (async () => undefined),
    retries: options.retries ?? 5,
    firstDelay: options.delays?.first ?? 500,
    longestDelay: options.delays?.longest ?? 60_000,
    connectTimeout: options.timeouts?.connect ?? 10_000,
    headersTimeout: options.timeouts?.headers ?? 60_000,
    idleTimeout: options.timeouts?.idle ?? 60_000,
    documentLimit: options.documentLimit ?? 4 * 1024 * 1024,
  }
}
