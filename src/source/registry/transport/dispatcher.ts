import { existsSync, readFileSync } from 'node:fs'
import { isIPv6, type Socket } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { HostCertificates } from '../config/host-certificates.ts'
import { openTunnel, proxyAuthorization, proxyFailure } from './tunnel.ts'

export interface Connecting {
  /** `HOST[:PORT]` of the registry's address: to it alone the client's certificate is shown. */
  readonly host: string
  /** Asked once, at the first need. */
  readonly certificates: () => HostCertificates
  readonly checksCertificates: boolean
  /** Through which proxy to ask for an address. */
  readonly proxy: (url: URL) => URL | undefined
  /** Told when a connection with the registry's address has got its TLS. */
  readonly onSecured: () => void
  /** Milliseconds. */
  readonly connectTimeout: number
}

/**
 * Connections to a registry and to the hosts that it redirects to, reused between requests. Certificates are checked
 * against the authorities that the system trusts, not those that came with Node, and those of certs.d. HTTP/1.1 only: a blob
 * then has a connection, and its back pressure, to itself.
 */
export function createDispatcher(connecting: Connecting): Dispatcher {
  const connect = connectors(connecting)
  /** Proxies that are spoken to like servers, for addresses without TLS. */
  const forwarding = new Map<string, URL>()
  const agent = new Agent({
    allowH2: false,
    connect(options, callback) {
      const { protocol, hostname, port } = options
      const url = new URL(`${protocol}//${isIPv6(hostname) ? `[${hostname}]` : hostname}${port ? `:${port}` : ''}`)
      const forwarder = forwarding.get(url.origin)
      const proxy = forwarder === undefined ? connecting.proxy(url) : undefined
      if (proxy !== undefined) return answer(connectThrough(proxy, { options, url, connect, connecting }), callback)
      if (forwarder === undefined) return connect(url, options, callback)
      answer(connected(url, { options, connect }).catch(rethrowAs((error) => proxyFailure(error, forwarder))), callback)
    },
  })
  return agent.compose((dispatch) => (options, handler) => {
    const origin = new URL(String(options.origin))
    const proxy = origin.protocol === 'http:' ? connecting.proxy(origin) : undefined
    if (proxy === undefined || isSocks(proxy)) return dispatch(options, handler)
    forwarding.set(proxy.origin, proxy)
    const headers = { host: origin.host, ...(options.headers as Record<string, string>), ...proxyAuthorization(proxy) }
    return dispatch({ ...options, origin: proxy.origin, path: `${origin.origin}${options.path}`, headers }, handler)
  })
}

type Connect = (url: URL, options: buildConnector.Options, callback: buildConnector.Callback) => void

/** Made once, at the first need: reading the authorities takes longer than connecting does. */
function connectors({
  host,
  certificates,
  checksCertificates,
  onSecured,
  connectTimeout: timeout,
}: Connecting): Connect {
  // With many addresses the first ones are given up early; a quarter of a second, Node's default, is too short overseas.
  const common = { timeout, allowH2: false, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_000 }
  const plain = buildConnector(common)
  const encrypted = (clients: HostCertificates['clients']) => {
    const authorities = checksCertificates ? [...systemAuthorities(), ...certificates().authorities] : []
    const secureContext = trustedContext({ authorities, clients })
    return buildConnector({ ...common, secureContext, rejectUnauthorized: checksCertificates })
  }
  let known: buildConnector.connector | undefined
  let anonymous: buildConnector.connector | undefined
  return (url, options, callback) => {
    if (url.protocol !== 'https:') return plain(options, callback)
    const secured: buildConnector.Callback = (...[error, socket]) => {
      if (socket && url.host === host) onSecured()
      return socket ? callback(null, socket) : callback(error as Error, null)
    }
    try {
      if (url.host === host && certificates().clients.length > 0) {
        known ??= encrypted(certificates().clients)
        return known(options, secured)
      }
      anonymous ??= encrypted([])
      return anonymous(options, secured)
    } catch (error) {
      callback(error as Error, null)
    }
  }
}

async function connectThrough(
  proxy: URL,
  {
    options,
    url,
    connect,
    connecting,
  }: { options: buildConnector.Options; url: URL; connect: Connect; connecting: Connecting },
): Promise<Socket> {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const host = options.hostname
  const httpSocket = await openTunnel(
    proxy,
    { host, port },
    { connect: () => connected(proxy, { options: proxyOptions(proxy), connect }), timeout: connecting.connectTimeout },
  )
  return url.protocol === 'https:' ? connected(url, { options: { ...options, httpSocket }, connect }) : httpSocket
}

function proxyOptions(proxy: URL): buildConnector.Options {
  const { protocol, host } = proxy
  const hostname = proxy.hostname.replace(/^\[|\]$/g, '')
  const standard = protocol === 'https:' ? '443' : isSocks(proxy) ? '1080' : '80'
  return { protocol, host, hostname, port: proxy.port || standard }
}

function connected(
  url: URL,
  { options, connect }: { options: buildConnector.Options; connect: Connect },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // On an error there is no socket, and not null either.
    connect(url, options, (error, socket) => (socket ? resolve(socket) : reject(error as Error)))
  })
}

function answer(connecting: Promise<Socket>, callback: buildConnector.Callback): void {
  connecting.then(
    (socket) => callback(null, socket),
    (error: Error) => callback(error, null),
  )
}

function rethrowAs(meaning: (error: unknown) => unknown): (error: unknown) => never {
  return (error) => {
    throw meaning(error)
  }
}

function isSocks({ protocol }: URL): boolean {
  return protocol.startsWith('socks')
}

function trustedContext({ authorities, clients }: HostCertificates): SecureContext {
  const keys = clients.length === 0 ? {} : { cert: clients.map(({ cert }) => cert), key: clients.map(({ key }) => key) }
  return createSecureContext({ ca: [...authorities], ...keys })
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
