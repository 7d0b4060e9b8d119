import { type IncomingMessage, request } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { ForerunError } from '../../../errors.ts'
import { AttemptFailure, transportFailure } from './failure.ts'
import { openSocksTunnel } from './socks.ts'

/** `http://proxy.example:3128`, without what is secret. */
export function displayProxy({ protocol, host }: URL): string {
  return `${protocol}//${host}`
}

/** The header by which one is known to a proxy; none when its address names nobody. */
export function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {}
  const words = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'proxy-authorization': `Basic ${Buffer.from(words).toString('base64')}` }
}

/**
 * Has a proxy connect a socket on with a host: CONNECT (RFC 9110, section 9.3.6), or SOCKS 5. The socket is the caller's,
 * unless this fails.
 *
 * @param options.connect connects with the proxy itself.
 * @param options.timeout for the proxy's answer, in milliseconds.
 * @throws AttemptFailure or ForerunError that name the proxy.
 */
export async function openTunnel(
  proxy: URL,
  target: { readonly host: string; readonly port: number },
  { connect, timeout }: { connect: () => Promise<Socket>; timeout: number },
): Promise<Socket> {
  let socket: Socket | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    socket = await connect()
    const connected = socket
    const silence = Object.assign(new Error('the proxy does not answer'), { code: 'UND_ERR_HEADERS_TIMEOUT' })
    timer = setTimeout(() => connected.destroy(silence), timeout)
    const isSocks = proxy.protocol.startsWith('socks')
    await (isSocks ? openSocksTunnel(socket, { proxy, target }) : openHttpTunnel(socket, { proxy, target }))
    return socket
  } catch (error) {
    socket?.on('error', () => {}).destroy()
    throw proxyFailure(error, proxy)
  } finally {
    clearTimeout(timer)
  }
}

/** What a fault between here and a proxy means. */
export function proxyFailure(error: unknown, proxy: URL): unknown {
  const meaning = transportFailure(error, proxy)
  const failure = meaning instanceof AttemptFailure ? meaning.failure : meaning
  if (!(failure instanceof ForerunError)) return meaning
  const named = new ForerunError(failure.code, `the proxy ${displayProxy(proxy)}: ${failure.message}`, {
    hint: proxyHint,
    cause: failure,
  })
  // Whatever protocol the proxy speaks tells nothing of the registry's.
  return meaning instanceof AttemptFailure ? new AttemptFailure(named) : named
}

/** A proxy that says no. @param refusal in its words: `403 Forbidden`. */
export function proxyRefusal(proxy: URL, { target, refusal }: { target: string; refusal: string }): ForerunError {
  return new ForerunError(
    'registry',
    `the proxy ${displayProxy(proxy)} does not let through to ${target} (${refusal})`,
    {
      hint: proxyHint,
    },
  )
}

/** A proxy that wants to know who asks. */
export function proxyUnauthorized(proxy: URL): ForerunError {
  const isNamed = proxy.username !== ''
  const what = isNamed ? 'does not accept the user and password that it was given' : 'wants a user and a password'
  return new ForerunError('unauthorized', `the proxy ${displayProxy(proxy)} ${what}`, {
    hint: 'Write HTTPS_PROXY and HTTP_PROXY as http://USER:PASSWORD@HOST:PORT, with %XX for what has a meaning in addresses.',
  })
}

const proxyHint = 'Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, proxy in registries.conf, and that the proxy runs.'

async function openHttpTunnel(
  socket: Socket,
  { proxy, target }: { proxy: URL; target: { host: string; port: number } },
): Promise<void> {
  const place = `${isIPv6(target.host) ? `[${target.host}]` : target.host}:${target.port}`
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { host: place, ...proxyAuthorization(proxy) }
    const asked = request({ method: 'CONNECT', path: place, headers, createConnection: () => socket })
    asked.once('error', reject)
    asked.once('connect', (message, _, rest: Buffer) => {
      // A server behind the tunnel speaks only when spoken to, in HTTP and in TLS.
      if (rest.length > 0) socket.unshift(rest)
      resolve(message)
    })
    asked.end()
  })
  const { statusCode = 0, statusMessage = '' } = answer
  if (statusCode >= 200 && statusCode < 300) return
  if (statusCode === 407) throw proxyUnauthorized(proxy)
  const refusal = `${statusCode} ${statusMessage.replace(/[^\x20-\x7e]/g, '?')}`.trim()
  const failure = proxyRefusal(proxy, { target: place, refusal })
  throw statusCode >= 500 ? new AttemptFailure(failure) : failure
}
