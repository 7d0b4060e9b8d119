import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface TestServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly origin: string
  /** What was asked for, in order. */
  readonly requests: IncomingMessage[]
}

/** A server on a free loopback port, for the length of a test. `host` may be `::1` in place of `127.0.0.1`. */
export async function serve(
  handler: Handler,
  { host: address = '127.0.0.1', ...tls }: ServerOptions & { host?: string } = {},
): Promise<TestServer> {
  const requests: IncomingMessage[] = []
  const listener: Handler = (request, response) => {
    requests.push(request)
    handler(request, response)
  }
  const server = tls.key === undefined ? createServer(listener) : createTlsServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const host = `${address === '::1' ? '[::1]' : address}:${(server.address() as AddressInfo).port}`
  return {
    host,
    origin: `${tls.key === undefined ? 'http' : 'https'}://${host}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A server below HTTP, for the length of a test. */
export async function serveSockets(
  handler: (socket: Socket) => void,
): Promise<AsyncDisposable & { readonly host: string }> {
  const sockets: Socket[] = []
  const server = createSocketServer((socket) => {
    sockets.push(socket)
    handler(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
