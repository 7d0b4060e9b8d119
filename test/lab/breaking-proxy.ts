import { once } from 'node:events'
import { createServer, type IncomingMessage, request as requestUpstream, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/**
 * Stands between forerun and a real registry over plain HTTP, breaks what it is told to, and counts what it served. The
 * kinds of faults are in proxy-faults.ts.
 *
 *     await using proxy = await startBreakingProxy(registry.address)
 *     proxy.spoil(/blobs/, cut({ at: 1_000_000 }), { times: 1 })      // the first request for a blob; later ones pass
 *     proxy.spoil(/manifests/, status(503), { skip: 1, times: 2 })    // the second and the third
 *     await lab.forerun('pull', `${proxy.address}/a/b:1`)
 *     proxy.served(/blobs/)                                           // bytes of bodies
 *     proxy.mend()                                                    // no faults, no counts
 *     proxy.stop(); await proxy.start()                               // gone, and back on the same port
 */
export interface BreakingProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string
  readonly url: string
  /** Requests since the last `mend`, those for `/v2/` too. */
  readonly requests: readonly ProxiedRequest[]
  /** Has requests whose method and path (`GET /v2/a/b/blobs/sha256:…`) match broken. Of several rules the first counts that is not used up. */
  spoil(path: RegExp, fault: Fault, options?: { skip?: number; times?: number }): void
  /** Bytes of bodies that were sent in answer to GET requests, by path; without the few that a cut left on the way. */
  served(path?: RegExp): number
  /** Forgets rules and counts, and lets go of what is held. */
  mend(): void
  /** Refuses connections from now on, and resets those that there are. */
  stop(): void
  start(): Promise<void>
}

export interface ProxiedRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Of the answer; undefined while there is none. */
  status: number | undefined
  /** Bytes of the body sent so far. */
  sent: number
}

/** Answers one request in place of passing it on. */
export type Fault = (exchange: Exchange) => Promise<void>

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
  /** The true answer. `headers` are added to those of the request, or with undefined taken away. */
  upstream(headers?: Readonly<Record<string, string | undefined>>): Promise<IncomingMessage>
  /** Writes bytes of the body, counts them, and waits while the other side is slower. */
  send(bytes: Uint8Array): Promise<void>
}

/** @param target `HOST:PORT` of the real registry. */
export async function startBreakingProxy(target: string): Promise<BreakingProxy> {
  const requests: ProxiedRequest[] = []
  const rules: Rule[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const record = recordOf(request)
    requests.push(record)
    // Whoever asked may be gone at any moment; that is what the tests are about.
    response.on('error', () => {})
    answer({ request, response, record, target, fault: takeRule(rules, record) ?? passing }).catch((error: Error) => {
      if (!isGone(error, response)) throw error
    })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const stop = () => {
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  const address = `127.0.0.1:${port}`
  return {
    address,
    url: `http://${address}`,
    requests,
    spoil: (path, fault, { skip = 0, times = Number.POSITIVE_INFINITY } = {}) => {
      rules.push({ path, fault, skip, times })
    },
    served: (path = /(?:)/) =>
      requests
        .filter((request) => request.method === 'GET' && path.test(`GET ${request.path}`))
        .reduce((sum, { sent }) => sum + sent, 0),
    mend() {
      rules.length = 0
      requests.length = 0
    },
    stop,
    start: () => listen(port),
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      stop()
      await once(server, 'close')
    },
  }
}

/** What a proxy without faults does. */
export const passing: Fault = async (exchange) => {
  const answer = await exchange.upstream()
  exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
  for await (const chunk of answer) await exchange.send(chunk as Buffer)
  exchange.response.end()
}

interface Rule {
  readonly path: RegExp
  readonly fault: Fault
  skip: number
  times: number
}

function takeRule(rules: readonly Rule[], { method, path }: ProxiedRequest): Fault | undefined {
  for (const rule of rules) {
    if (rule.times <= 0 || !rule.path.test(`${method} ${path}`)) continue
    if (rule.skip > 0) {
      rule.skip -= 1
      continue
    }
    rule.times -= 1
    return rule.fault
  }
  return undefined
}

function recordOf({ method = '', url = '', headers }: IncomingMessage): ProxiedRequest {
  return { method, path: url, headers, status: undefined, sent: 0 }
}

async function answer(parts: {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly record: ProxiedRequest
  readonly target: string
  readonly fault: Fault
}): Promise<void> {
  const { request, response, record, target, fault } = parts
  await fault({
    request,
    response,
    socket: request.socket,
    async upstream(headers = {}) {
      const wanted = { ...request.headers, ...headers }
      const sent = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
      // The end of the answer ends its connection: nothing of one test is there in the next.
      const outgoing = requestUpstream(`http://${target}${request.url}`, {
        method: request.method,
        headers: sent,
        agent: false,
      })
      response.on('close', () => outgoing.destroy())
      request.pipe(outgoing)
      const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
      record.status = incoming.statusCode
      return incoming
    },
    async send(bytes) {
      if (response.destroyed) throw new GoneError()
      record.status ??= response.statusCode
      const isRoomLeft = response.write(bytes)
      record.sent += bytes.length
      if (!isRoomLeft) await roomIn(response)
    },
  })
}

async function roomIn(response: ServerResponse): Promise<void> {
  const settled = new AbortController()
  const { signal } = settled
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
  } finally {
    settled.abort()
  }
}

/** Nobody is left who would read the answer. */
class GoneError extends Error {}

function isGone(error: Error, response: ServerResponse): boolean {
  return error instanceof GoneError || response.destroyed || response.socket?.destroyed !== false
}
