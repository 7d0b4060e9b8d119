import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Exchange, Fault } from './breaking-proxy.ts'

/** What a `BreakingProxy` can do to an answer. Positions are bytes of the body of this answer. */

/** Ends the connection in the middle of the body: in order (FIN), or with a reset. */
export function cut({ at, reset = false }: { at: number; reset?: boolean }): Fault {
  return async (exchange) => {
    await sendUpTo(exchange, await exchange.upstream(), at)
    if (!reset) return void exchange.socket.end()
    // A reset throws away what is still on its way, and the bytes that were sent would not be those that arrived.
    await sleep(700)
    exchange.socket.resetAndDestroy()
  }
}

/** Sends so many bytes and then nothing more, with the connection open. `reached` settles when they are sent. */
export function stall({ at }: { at: number }): Fault & { readonly reached: Promise<void> } {
  const { promise: reached, resolve } = Promise.withResolvers<void>()
  const fault: Fault = async (exchange) => {
    await sendUpTo(exchange, await exchange.upstream(), at)
    resolve()
  }
  return Object.assign(fault, { reached })
}

/** A slower line; no fault, but little is under way in the kernel's buffers at any moment. */
export function throttle({ bytesPerSecond }: { bytesPerSecond: number }): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
    const start = performance.now()
    let sent = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      await exchange.send(chunk)
      sent += chunk.length
      const early = (sent / bytesPerSecond) * 1000 - (performance.now() - start)
      if (early > 2) await sleep(early)
    }
    exchange.response.end()
  }
}

/** Takes the request and never answers. */
export const silence: Fault = async () => {}

/** Answers by itself. */
export function status(code: number, headers: Readonly<Record<string, string>> = {}, body = '{}'): Fault {
  return async ({ response, send }) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers })
    await send(Buffer.from(body))
    response.end()
  }
}

/** The true answer with other headers, or with another status; undefined takes a header away. */
export function headers(changed: Readonly<Record<string, string | undefined>>, code?: number): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    const sent = Object.entries({ ...answer.headers, ...changed }).filter(([, value]) => value !== undefined)
    exchange.response.writeHead(code ?? answer.statusCode ?? 502, Object.fromEntries(sent))
    for await (const chunk of answer) await exchange.send(chunk as Buffer)
    // Whatever length was announced, nothing more comes.
    exchange.socket.end()
  }
}

/** Announces so many bytes more than there are. */
export function wrongLength(difference: number): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    const length = String(Number(answer.headers['content-length']) + difference)
    exchange.response.writeHead(answer.statusCode ?? 502, { ...answer.headers, 'content-length': length })
    for await (const chunk of answer) await exchange.send(chunk as Buffer)
    exchange.socket.end()
  }
}

/** Knows no ranges: the whole, and 200. */
export const wholeInsteadOfRange: Fault = async (exchange) => {
  const answer = await exchange.upstream({ range: undefined })
  exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
  for await (const chunk of answer) await exchange.send(chunk as Buffer)
  exchange.response.end()
}

/** To an address, with the request's path unless it has one of its own. */
export function redirect(target: string): Fault {
  return async ({ request, response }) => {
    const location = /^https?:\/\/[^/]+$/.test(target) ? `${target}${request.url}` : target
    response.writeHead(307, { location })
    response.end()
  }
}

/** The headers come one byte at a time, and no end of them. */
export function dripHeaders({ every }: { every: number }): Fault {
  return async ({ socket }) => {
    const text = `HTTP/1.1 200 OK\r\nx-slow: ${'a'.repeat(100_000)}`
    for (const letter of text) {
      if (socket.destroyed) return
      socket.write(letter)
      await sleep(every)
    }
  }
}

/** Hints (103) and no end of them, before an answer that never comes. */
export function hints({ every }: { every: number }): Fault {
  return async ({ socket }) => {
    while (!socket.destroyed) {
      socket.write('HTTP/1.1 103 Early Hints\r\nlink: </>; rel=preload\r\n\r\n')
      await sleep(every)
    }
  }
}

/** More headers than anybody needs. */
export const manyHeaders: Fault = async ({ socket }) => {
  socket.write('HTTP/1.1 200 OK\r\n')
  socket.end(Array.from({ length: 20_000 }, (_, index) => `x-header-${index}: ${'a'.repeat(50)}\r\n`).join(''))
}

/** Cuts a body whose length is not announced: in chunks, or ended by the connection's end alone, which looks whole then. */
export function cutUnannounced({ at, chunked }: { at: number; chunked: boolean }): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    const { socket } = exchange
    const coding = chunked ? 'transfer-encoding: chunked' : 'connection: close'
    socket.write(`HTTP/1.1 200 OK\r\n${coding}\r\n\r\n`)
    let position = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const rest = chunk.subarray(0, at - position)
      if (chunked) socket.write(`${rest.length.toString(16)}\r\n`)
      socket.write(rest)
      if (chunked) socket.write('\r\n')
      position += rest.length
      if (position >= at) break
    }
    socket.end()
  }
}

/** The body comes one byte at a time from a position on. */
export function dripBody({ at, every }: { at: number; every: number }): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
    let position = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const fast = chunk.subarray(0, Math.max(0, at - position))
      await exchange.send(fast)
      for (const byte of chunk.subarray(fast.length)) {
        await exchange.send(Buffer.of(byte))
        await sleep(every)
      }
      position += chunk.length
    }
    exchange.response.end()
  }
}

/** JSON of so many bytes, well-formed to the end. `announced`: with its length in the headers. */
export function hugeJson({ size, announced, code = 200 }: { size: number; announced: boolean; code?: number }): Fault {
  return async ({ response, send }) => {
    const beginning = Buffer.from('{"schemaVersion":2,"annotations":{"a":"')
    response.writeHead(code, {
      'content-type': 'application/vnd.oci.image.manifest.v1+json',
      ...(announced && { 'content-length': String(size) }),
    })
    await send(beginning)
    const filling = Buffer.alloc(1024 * 1024, 'a')
    for (let left = size - beginning.length - 3; left > 0; left -= filling.length) {
      await send(filling.subarray(0, Math.min(left, filling.length)))
    }
    await send(Buffer.from('"}}'))
    response.end()
  }
}

/** Bytes that are no HTTP. */
export const garbage: Fault = async ({ socket }) => {
  socket.end(Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'))
}

/** One byte of the body is another. */
export function corrupt({ at }: { at: number }): Fault {
  return async (exchange) => {
    const answer = await exchange.upstream()
    exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
    let position = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const hit = at - position
      if (hit >= 0 && hit < chunk.length) chunk[hit] = (chunk[hit] ?? 0) ^ 1
      position += chunk.length
      await exchange.send(chunk)
    }
    exchange.response.end()
  }
}

async function sendUpTo(exchange: Exchange, answer: IncomingMessage, limit: number): Promise<void> {
  exchange.response.writeHead(answer.statusCode ?? 502, answer.headers)
  exchange.response.flushHeaders()
  let position = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const rest = chunk.subarray(0, limit - position)
    await exchange.send(rest)
    position += rest.length
    if (position >= limit) break
  }
  while (exchange.socket.writableLength > 0 && !exchange.socket.destroyed) await sleep(1)
}
