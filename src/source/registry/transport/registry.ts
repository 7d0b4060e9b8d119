import type { Dispatcher } from 'undici'
import type { Reference } from '../../../image/reference.ts'
import type { TransferContext } from '../../source.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'
import { checkAllowed, directEndpoint, type Endpoint } from '../config/endpoints.ts'
import { readHostCertificates } from '../config/host-certificates.ts'
import { proxyFor } from '../config/proxy.ts'
import { type RegistriesConf, readRegistriesConf } from '../config/registries-conf.ts'
import { createDispatcher } from './dispatcher.ts'
import { nominalOrigin } from './nominal-origin.ts'

/**
 * How to reach registries. What is not said is read from the files of the containers tools (`root`, `environment` and `uid` say
 * whose), and proxies from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of `environment`.
 */
export interface RegistryOptions extends ContainersPlace {
  /**
   * `true`: TLS with verified certificates. `false`: TLS without verification, and plain HTTP where there is no TLS. Absent: as
   * `false` where registries.conf says `insecure`; else as `true`, but plain HTTP on a loopback address without TLS.
   */
  readonly tlsVerify?: boolean | undefined
  /** A folder of `*.crt`, `*.cert` and `*.key`, in place of the registry's in `certs.d`. */
  readonly certDir?: string | undefined
  /** What `readRegistriesConf` gave. Default: it is read when the handle is made. */
  readonly registries?: RegistriesConf | undefined
  readonly userAgent?: string
  /** Whom to be towards a registry; asked when it wants to know, of a mirror by the image's name there. Default: nobody. */
  readonly credentials?: CredentialSource
  /** How often a request is tried again before it fails; a long enough run of bytes starts the count anew. Default 5. */
  readonly retries?: number
  /** Milliseconds before the first retry, doubled for each further one up to the longest. Default 500 and 60,000. */
  readonly delays?: { readonly first?: number; readonly longest?: number }
  /**
   * Milliseconds until connected, until an answer's headers are there, and without a byte of its body. Default 10,000,
   * 60,000 and 60,000. A body that brings less than 1,000 bytes a second over the last of these counts as stopped, too, and
   * a document has to be there whole after the last two together.
   */
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
  /** Another place is asked when this one fails. */
  readonly isMirror: boolean
  readonly settings: RegistrySettings
  readonly dispatcher: Dispatcher
  /** Where it was found to answer; undefined until then. */
  origin: string | undefined
  /** Whether it has answered at all. A registry that has and is gone may come back; one that never did is a mistake. */
  reached: boolean
  /** Whether TLS with it came about. It is not spoken to without any more. */
  secured: boolean
  /** The `WWW-Authenticate` of `/v2/`; undefined until somebody asks for it. */
  generalChallenge: { readonly header: string | undefined } | undefined
  /** By `scope` in the words of the token protocol. */
  readonly authorizations: Map<string, Authorization>
}

/** What a token is to allow: in the repository, and reading another one of which a blob is mounted. */
export interface Scope {
  readonly actions: 'pull' | 'pull,push' | 'pull,push,delete'
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

/**
 * Makes the handle for the place that the name itself says; mirrors and other locations are not for it. Nothing is connected yet.
 * Connections that lie idle do not keep the process alive. Destroy `dispatcher` at the end: closing it would wait for answers.
 *
 * @throws ForerunError `settings` for registries.conf; `registry` when it blocks the place.
 */
export function openRegistry(reference: Reference, options: RegistryOptions = {}): Registry {
  const endpoint = directEndpoint(options.registries ?? readRegistriesConf(options), reference)
  checkAllowed(endpoint)
  return openEndpoint(endpoint, options)
}

/** As `openRegistry`, for a place that `endpointsFor` found. */
export function openEndpoint(endpoint: Endpoint, options: RegistryOptions = {}): Registry {
  const { reference, isMirror } = endpoint
  const settings = withDefaults(endpoint, options)
  let certificates: ReturnType<typeof readHostCertificates> | undefined
  const learnt = {
    origin: undefined,
    reached: false,
    secured: false,
    generalChallenge: undefined,
    authorizations: new Map(),
  }
  const dispatcher = createDispatcher({
    host: new URL(nominalOrigin(reference)).host,
    certificates: () => {
      certificates ??= readHostCertificates(reference.domain, options)
      return certificates
    },
    checksCertificates: settings.tlsVerify !== false,
    proxy: settings.proxy,
    onSecured: () => {
      registry.secured = true
    },
    connectTimeout: settings.connectTimeout,
  })
  const registry: Registry = { reference, isMirror, settings, dispatcher, ...learnt }
  return registry
}

function withDefaults(endpoint: Endpoint, options: RegistryOptions) {
  const { environment = process.env } = options
  return {
    tlsVerify: options.tlsVerify ?? (endpoint.insecure ? false : undefined),
    proxy: (url: URL) => endpoint.proxy ?? proxyFor(url, environment),
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
