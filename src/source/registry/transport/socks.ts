import { isIP, type Socket } from 'node:net'
import { ForerunError } from '../../../errors.ts'
import { AttemptFailure } from './failure.ts'

/**
 * SOCKS 5 (RFC 1928; user and password by RFC 1929) on a socket that is connected with the proxy. Names are looked up by the
 * proxy.
 *
 * @throws AttemptFailure, ForerunError, or what the socket fails with.
 */
export async function openSocksTunnel(
  socket: Socket,
  { proxy, target }: { proxy: URL; target: { readonly host: string; readonly port: number } },
): Promise<void> {
  const isNamed = proxy.username !== ''
  socket.write(Buffer.of(5, 1, isNamed ? 2 : 0))
  const [version, method] = await readBytes(socket, 2)
  if (version !== 5) throw new ForerunError('registry', 'it does not speak SOCKS 5')
  if (method !== (isNamed ? 2 : 0)) throw new ForerunError('unauthorized', 'it does not accept who asks')
  if (isNamed) await logIn(socket, proxy)
  const port = Buffer.alloc(2)
  port.writeUInt16BE(target.port)
  socket.write(Buffer.concat([Buffer.of(5, 1, 0), address(target.host), port]))
  const [, reply = 1, , kind] = await readBytes(socket, 4)
  if (reply !== 0) throw new AttemptFailure(new ForerunError('registry', replies[reply] ?? `it fails (${reply})`))
  // The address that it connects from, which nobody needs to know.
  const length = kind === 3 ? (await readBytes(socket, 1))[0] : kind === 4 ? 16 : 4
  await readBytes(socket, (length ?? 0) + 2)
}

/** RFC 1928, section 6. */
const replies: Readonly<Record<number, string>> = {
  1: 'it fails',
  2: 'its rules forbid the connection',
  3: 'it cannot reach the network',
  4: 'it cannot reach the host',
  5: 'the host refuses the connection',
  6: 'the host is too far away',
  7: 'it cannot do such a thing',
  8: 'it does not know such an address',
}

async function logIn(socket: Socket, proxy: URL): Promise<void> {
  const [user, password] = [proxy.username, proxy.password].map((text) => Buffer.from(decodeURIComponent(text)))
  if (user === undefined || password === undefined || user.length > 255 || password.length > 255) {
    throw new ForerunError('unauthorized', 'user and password may have at most 255 bytes')
  }
  socket.write(Buffer.concat([Buffer.of(1, user.length), user, Buffer.of(password.length), password]))
  const [, status] = await readBytes(socket, 2)
  if (status !== 0) throw new ForerunError('unauthorized', 'it does not accept the user and password that it was given')
}

function address(host: string): Buffer {
  const family = isIP(host)
  if (family === 4) return Buffer.of(1, ...host.split('.').map(Number))
  if (family === 6) return Buffer.concat([Buffer.of(4), ipv6Bytes(host)])
  const name = Buffer.from(host)
  return Buffer.concat([Buffer.of(3, name.length), name])
}

function ipv6Bytes(host: string): Buffer {
  // As an address of the web it has no dotted part, whatever was written.
  const [head = '', tail] = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const [before, after] = [groups(head), groups(tail)]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** Exactly so many bytes; what comes after them stays in the socket. */
async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null
    if (bytes !== null && bytes.length === length) return bytes
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => {
        for (const name of ['readable', 'end', 'error', 'close'])
          socket.removeListener(name, listeners[name] as () => void)
        if (error === undefined) resolve()
        else reject(error)
      }
      const cut = () => settle(Object.assign(new Error('the proxy hung up'), { code: 'ECONNRESET' }))
      const listeners: Record<string, (error?: Error) => void> = {
        readable: () => settle(),
        end: cut,
        close: cut,
        error: settle,
      }
      for (const [name, listener] of Object.entries(listeners)) socket.once(name, listener)
    })
  }
}
