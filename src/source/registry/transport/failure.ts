import { ForerunError } from '../../../errors.ts'

/**
 * An attempt that failed in a way that another one may mend. `failure` is what the user is told when none is made.
 *
 * - `temporary`: worth another attempt.
 * - `refused`: worth one when the registry has answered before, and may be restarting.
 * - `not-tls`: the other side does not speak TLS; worth one over plain HTTP, where that is allowed.
 */
export class AttemptFailure extends Error {
  readonly failure: ForerunError
  readonly kind: 'temporary' | 'refused' | 'not-tls'
  /** Milliseconds that the registry asks to wait. */
  readonly retryAfter: number | undefined

  constructor(failure: ForerunError, options: { kind?: AttemptFailure['kind']; retryAfter?: number | undefined } = {}) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.kind = options.kind ?? 'temporary'
    this.retryAfter = options.retryAfter
  }
}

/**
 * What a fault of the connection means. Returns the error to throw: an AttemptFailure, a ForerunError when no attempt
 * will mend it, or the error itself when it is none of the network's, or has got its meaning already.
 */
export function transportFailure(error: unknown, url: URL): unknown {
  if (error instanceof ForerunError || error instanceof AttemptFailure) return error
  const code = errorCode(error)
  const host = url.host
  const mistake = hopeless[code]
  if (mistake !== undefined) {
    const [message, hint] = mistake
    return new ForerunError('registry', message.replace('HOST', host), {
      hint: hint.replace('HOST', host),
      cause: error,
    })
  }
  const fault = passing[code]
  if (fault !== undefined) {
    const [kind, message, hint = checkNetwork] = fault
    const failure = new ForerunError('registry', message.replace('HOST', host), { hint, cause: error })
    return new AttemptFailure(failure, { kind })
  }
  if (/^ERR_SSL_/.test(code)) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : code
    const hint = (/ALERT/.test(code) ? clientHint : trustHint).replace('HOST', host)
    return new ForerunError('registry', `TLS with ${host} failed: ${reason}`, { hint, cause: error })
  }
  return error
}

/** Whether the other side ended the connection. */
export function isCut(failure: unknown): failure is AttemptFailure {
  const cause = failure instanceof AttemptFailure ? failure.failure.cause : undefined
  return cause instanceof Error && ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(errorCode(cause))
}

/** A registry that answers what no registry may answer. */
export function misbehaving(url: URL, what: string): ForerunError {
  return new ForerunError('registry', `${url.host} ${what}`, {
    hint: 'Check that the address is that of a registry, and that no proxy changes its answers.',
  })
}

/** The address without what may be secret: user, password, and the query, which carries the signature of a redirect. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`
}

function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  // The parser's own names for what it finds wrong, in undici and in Node.
  return error.name === 'HTTPParserError' || code.startsWith('HPE_') ? 'HTTPParserError' : code
}

const checkNetwork = 'Check the network and the registry, then try again.'
const trustHint =
  'Put the authority of its certificate into /etc/containers/certs.d/HOST/ca.crt, or use --tls-verify=false to trust any.'
const clientHint =
  'The registry refused. If it wants a certificate of this host, put NAME.cert and NAME.key into /etc/containers/certs.d/HOST.'
const notTlsHint = 'For a registry without TLS use --tls-verify=false.'

const untrusted = [
  'the certificate of HOST is signed by an authority that this system does not trust',
  trustHint,
] as const
const selfSigned = ['the certificate of HOST is self-signed', trustHint] as const
const notHttp = ['HOST does not speak HTTP', 'Check the address and the port of the registry.'] as const
const noTls = ['not-tls', 'HOST does not speak TLS', notTlsHint] as const
const unroutable = ['refused', 'HOST cannot be reached: there is no route to it'] as const
const cut = ['temporary', 'the connection to HOST was cut'] as const

const hopeless: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  ENOTFOUND: ['there is no host HOST', "Check the spelling of the registry's name, and the name servers."],
  CERT_HAS_EXPIRED: [
    'the certificate of HOST has expired',
    "Renew it, check this host's clock, or use --tls-verify=false to accept it as it is.",
  ],
  CERT_NOT_YET_VALID: ['the certificate of HOST is not valid yet', "Check this host's clock."],
  CERT_REVOKED: ['the certificate of HOST has been revoked', 'Ask those who run the registry.'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'the certificate of HOST is made for another host',
    'Use the name that the certificate has, or --tls-verify=false to accept it as it is.',
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: selfSigned,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_UNTRUSTED: untrusted,
  INVALID_CA: untrusted,
  HTTPParserError: notHttp,
  UND_ERR_HEADERS_OVERFLOW: notHttp,
}

type PassingFault = readonly [kind: AttemptFailure['kind'], message: string, hint?: string]

const passing: Readonly<Record<string, PassingFault>> = {
  ECONNREFUSED: ['refused', 'HOST refuses the connection', 'Check that the registry runs, and its port.'],
  EHOSTUNREACH: unroutable,
  ENETUNREACH: unroutable,
  EHOSTDOWN: unroutable,
  EADDRNOTAVAIL: unroutable,
  EPROTO: noTls,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  ERR_SSL_HTTP_REQUEST: noTls,
  EAI_AGAIN: ['temporary', 'the name of HOST cannot be looked up: no name server answers'],
  UND_ERR_CONNECT_TIMEOUT: ['temporary', 'HOST does not answer: connecting took too long'],
  ETIMEDOUT: ['temporary', 'HOST does not answer: connecting took too long'],
  UND_ERR_HEADERS_TIMEOUT: ['temporary', 'HOST does not answer: it took the request and fell silent'],
  UND_ERR_BODY_TIMEOUT: ['temporary', 'HOST fell silent in the middle of an answer'],
  ECONNRESET: cut,
  ECONNABORTED: cut,
  EPIPE: cut,
  UND_ERR_SOCKET: cut,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: cut,
}
