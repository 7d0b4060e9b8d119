import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Passes connections on to a registry, and counts what comes from there: headers too. */
export interface CountingProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** Bytes that came from the registry. */
  readonly received: number
}

export async function countingProxy(registry: string): Promise<CountingProxy> {
  const [host, port] = registry.split(':')
  const open = new Set<Socket>()
  let received = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), host)
    upstream.on('data', (bytes) => {
      received += bytes.length
    })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => open.delete(socket))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get received() {
      return received
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
