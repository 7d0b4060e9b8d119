import { existsSync, readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, buildConnector, type Dispatcher } from 'undici'

/**
 * Connections to a registry and to the hosts that it redirects to, reused between requests. Certificates are checked
 * against the authorities that the system trusts, not those that came with Node. HTTP/1.1 only: a blob then has a
 * connection, and its back pressure, to itself.
 */
export function createDispatcher(settings: {
  tlsVerify: boolean | undefined
  certificates: string | undefined
  connectTimeout: number
}): Dispatcher {
  const timeout = settings.connectTimeout
  // With many addresses the first ones are given up early; a quarter of a second, Node's default, is too short overseas.
  const common = { timeout, allowH2: false, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_000 }
  const plain = buildConnector(common)
  let encrypted: buildConnector.connector | undefined
  return new Agent({
    allowH2: false,
    connect(options, callback) {
      if (options.protocol !== 'https:') return plain(options, callback)
      // Made once, at the first need: reading the authorities takes longer than connecting does.
      encrypted ??= buildConnector({
        ...common,
        secureContext: trustedContext(settings.certificates),
        rejectUnauthorized: settings.tlsVerify !== false,
      })
      return encrypted(options, callback)
    },
  })
}

function trustedContext(certificates: string | undefined): SecureContext {
  const system = systemAuthorities()
  return createSecureContext({ ca: certificates === undefined ? system : [...system, certificates] })
}

/** Where distributions keep their authorities in one file: Debian, Fedora and their kin, SUSE, Alpine. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

function systemAuthorities(): string[] {
  // Node honours SSL_CERT_FILE and SSL_CERT_DIR as OpenSSL does; otherwise one file is read many times faster.
  const isConfigured = process.env.SSL_CERT_FILE !== undefined || process.env.SSL_CERT_DIR !== undefined
  const bundle = isConfigured ? undefined : bundles.find((path) => existsSync(path))
  return bundle === undefined ? getCACertificates('system') : [readFileSync(bundle, 'utf8')]
}
