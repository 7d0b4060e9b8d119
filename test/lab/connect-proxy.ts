import { createServer, type IncomingMessage, request as requestUpstream } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/**
 * An HTTP proxy as companies have them, for tunnels (CONNECT) and for plain requests, on loopback. Whatever host it is asked
 * for, it goes to that port of 127.0.0.1: names need to be known to nobody else.
 *
 *     await using proxy = await startConnectProxy({ user: 'ann', password: 'wonderland' })
 *     await lab.host.exec(['forerun', 'pull', 'registry.lab:5000/a'], { env: { HTTPS_PROXY: proxy.urlWith('ann', 'wonderland') } })
 *     proxy.requests                                 // ['CONNECT registry.lab:5000']
 */
export interface ConnectProxy extends AsyncDisposable {
  readonly url: string
  urlWith(user: string, password: string): string
  /** What it let pass, in order. */
  readonly requests: readonly string[]
  /** How many it turned away for want of the right credentials. */
  readonly refused: number
}

export async function startConnectProxy(
  credentials: { user: string; password: string } | undefined = undefined,
): Promise<ConnectProxy> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  let refused = 0
  const isWelcome = ({ headers }: IncomingMessage): boolean => {
    if (credentials === undefined) return true
    const expected = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')
    if (headers['proxy-authorization'] === `Basic ${expected}`) return true
    refused += 1
    return false
  }
  const server = createServer((request, response) => {
    if (!isWelcome(request)) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="lab"' })
      return void response.end()
    }
    requests.push(`${request.method} ${request.url}`)
    const { port, pathname, search } = new URL(request.url ?? '')
    const { 'proxy-authorization': _, ...headers } = request.headers
    const options = { port, path: `${pathname}${search}`, method: request.method, headers }
    const outgoing = requestUpstream(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    outgoing.on('error', () => void response.writeHead(502).end())
    request.pipe(outgoing)
  })
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    if (!isWelcome(request)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="lab"\r\n\r\n')
      return
    }
    requests.push(`CONNECT ${request.url}`)
    const outgoing = connect(Number(/:(\d+)$/.exec(request.url ?? '')?.[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      outgoing.write(head)
      outgoing.pipe(socket).pipe(outgoing)
    })
    sockets.add(outgoing)
    outgoing.on('error', () => void socket.destroy())
  })
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    urlWith: (user, password) => `http://${user}:${password}@127.0.0.1:${port}`,
    requests,
    get refused() {
      return refused
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
