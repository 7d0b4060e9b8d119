import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { digestOf } from '../../../src/image/digest.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { dropBody, exchange } from '../../../src/source/registry/transport/answer.ts'
import { openRegistry } from '../../../src/source/registry/transport/registry.ts'
import { registryOf, testImage } from './image.ts'
import { amd64, collect, quick, reading } from './reading.ts'
import { type Handler, serve, serveSockets } from './server.ts'

// What a registry, or something between, may do to a pull. Each ends in success or in one error that says why; none hangs.

const image = testImage({ layerSize: 1_000_000 })
const layer = image.layerDescriptor
const genuine = registryOf({ 1: image.manifest }, image)

interface Fault {
  readonly name: string
  /** Answers the requests for the layer, or for the manifest, one after the other; the last one again where it is `forever`. */
  readonly blob?: readonly Handler[]
  readonly manifest?: readonly Handler[]
  readonly forever?: true
  /** How it ends: absent, in success. */
  readonly error?: { readonly code: string; readonly message: RegExp }
}

const status =
  (code: number, headers: Record<string, string | number> = {}, body: string | Buffer = ''): Handler =>
  (_, response) =>
    void response.writeHead(code, headers).end(body)

const start = ({ headers }: IncomingMessage) => Number(/\d+/.exec(headers.range ?? '0')?.[0])

/** Sends the rest that was asked for up to byte `end`, and then does as told with the socket. */
const upTo =
  (end: number, then: (socket: Socket) => void): Handler =>
  (request, response) => {
    response.setHeader('content-length', layer.size - start(request))
    if (start(request) > 0) {
      response.writeHead(206, { 'content-range': `bytes ${start(request)}-${layer.size - 1}/${layer.size}` })
    }
    response.flushHeaders()
    response.write(image.layer.subarray(start(request), Math.max(end, start(request))), () =>
      then(response.socket as Socket),
    )
  }

const cut = (end: number) => upTo(end, (socket) => socket.destroy())
const part = (range: string) => status(206, { 'content-range': range }, image.layer)
const raw =
  (text: string, bytes: Uint8Array = Buffer.alloc(0)): Handler =>
  (request) =>
    void request.socket.end(Buffer.concat([Buffer.from(text), bytes]))

/** Writes this again and again, faster than a timer for silence runs out. */
const drip =
  (beginning: string, again: string): Handler =>
  ({ socket }) => {
    socket.write(beginning)
    const timer = setInterval(() => socket.write(again), 20)
    socket.on('close', () => clearInterval(timer)).on('error', () => {})
  }

const flood =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_, response) => {
    response.writeHead(code, headers)
    const chunk = Buffer.alloc(65_536, ' ')
    const more = () => {
      while (!response.destroyed && response.write(chunk)) flooded += chunk.length
    }
    response.on('drain', more)
    more()
  }
let flooded = 0

const registry = 'registry'
const slowly = /less than 1000 bytes in a second, after 3 attempts$/

const faults: readonly Fault[] = [
  ...[0, 1, 500_000, layer.size - 1].map((end) => ({ name: `cut at byte ${end} of a layer`, blob: [cut(end)] })),
  {
    name: 'cut again and again',
    blob: [100_000, 200_000, 300_000].map(cut),
    error: { code: registry, message: /was cut, after 3 attempts$/ },
  },
  { name: 'reset in the middle of a layer', blob: [upTo(300_000, (socket) => socket.resetAndDestroy())] },
  { name: 'silence in the middle of a layer', blob: [upTo(300_000, () => {})] },
  { name: 'silence in place of an answer', blob: [() => {}] },
  {
    name: 'silence forever',
    blob: [() => {}],
    forever: true,
    error: { code: registry, message: /fell silent, after 3 attempts$/ },
  },
  { name: '429 without Retry-After', blob: [status(429)] },
  { name: '429 with Retry-After in seconds', blob: [status(429, { 'retry-after': '0' })] },
  { name: '429 with Retry-After as a date', blob: [status(429, { 'retry-after': new Date().toUTCString() })] },
  { name: '429 with Retry-After that is neither', blob: [status(429, { 'retry-after': 'soon' })] },
  {
    name: '429 with Retry-After of an hour',
    blob: [status(429, { 'retry-after': '3600' })],
    error: { code: registry, message: /429/ },
  },
  { name: '500, 503, then good', blob: [status(500), status(503)] },
  { name: '502, 504, then good', manifest: [status(502), status(504)] },
  {
    name: '500 forever',
    manifest: [status(500)],
    forever: true,
    error: { code: registry, message: /500.*after 3 attempts/ },
  },
  { name: '400', blob: [status(400)], error: { code: registry, message: /400/ } },
  { name: '404 for a layer', blob: [status(404)], error: { code: registry, message: /lacks sha256:/ } },
  {
    name: 'a length that is too short',
    blob: [(_, r) => void r.end(image.layer.subarray(1))],
    error: { code: 'digest', message: /999999 bytes/ },
  },
  {
    name: 'a length that is too long',
    blob: [(_, r) => void r.end(Buffer.concat([image.layer, Buffer.of(0)]))],
    error: { code: 'digest', message: /1000001 bytes/ },
  },
  {
    name: 'more bytes than the length says',
    blob: [cut(500), raw(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123456789`)],
    error: { code: 'digest', message: /has 5 bytes/ },
  },
  {
    name: 'a chunked body that ends in the middle',
    blob: [raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n', image.layer.subarray(0, 9))],
  },
  {
    name: 'a chunked body with a nonsensical length',
    blob: [raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc')],
    error: { code: registry, message: /does not speak HTTP/ },
  },
  { name: 'the whole in place of a range', blob: [cut(300_000), (_, response) => void response.end(image.layer)] },
  {
    name: 'another range',
    blob: [cut(300_000), part('bytes 0-999999/1000000')],
    error: { code: registry, message: /another range/ },
  },
  {
    name: 'a range of something longer',
    blob: [
      cut(300_000),
      (request, response) => {
        part(`bytes ${start(request)}-999999/2000000`)(request, response)
      },
    ],
    error: { code: registry, message: /another range/ },
  },
  {
    name: 'the whole as a range that nobody asked for',
    blob: [part('bytes 0-999999/1000000')],
  },
  {
    name: 'a range that nobody asked for',
    blob: [part('bytes 5-999999/1000000')],
    error: { code: registry, message: /another range/ },
  },
  {
    name: '416',
    blob: [cut(300_000), status(416, { 'content-range': 'bytes */1000000' })],
    error: { code: registry, message: /416/ },
  },
  {
    name: 'a redirect to itself',
    blob: [status(307, { location: '/v2/team/app/blobs/x' })],
    forever: true,
    error: { code: registry, message: /more than 10 times/ },
  },
  {
    name: 'a redirect to a host that is not there',
    blob: [status(307, { location: 'http://127.0.0.1:1/x' })],
    forever: true,
    error: { code: registry, message: /127\.0\.0\.1:1 refuses/ },
  },
  {
    name: 'headers that drip',
    manifest: [drip('HTTP/1.1 200 OK\r\nX: ', 'x')],
    forever: true,
    error: { code: registry, message: /fell silent, after 3 attempts$/ },
  },
  {
    name: 'early hints without end',
    manifest: [drip('', 'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n')],
    forever: true,
    error: { code: registry, message: /fell silent, after 3 attempts$/ },
  },
  {
    name: 'a manifest that drips',
    manifest: [drip('HTTP/1.1 200 OK\r\n\r\n', ' ')],
    forever: true,
    error: { code: registry, message: slowly },
  },
  {
    name: 'a layer that drips',
    blob: [drip(`HTTP/1.1 200 OK\r\nContent-Length: ${layer.size}\r\n\r\n`, 'x')],
    forever: true,
    error: { code: registry, message: slowly },
  },
  {
    name: 'a chunk length that drips',
    blob: [drip('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;', 'x')],
    forever: true,
    error: { code: registry, message: /./ },
  },
  {
    name: 'a manifest without end',
    manifest: [flood(200)],
    forever: true,
    error: { code: 'limit', message: /more than 4194304 bytes/ },
  },
  {
    name: 'a manifest that is said to have a gigabyte',
    manifest: [flood(200, { 'content-length': '1000000000' })],
    forever: true,
    error: { code: 'limit', message: /more than/ },
  },
  { name: 'an error without end', manifest: [flood(400)], error: { code: registry, message: /400/ } },
  {
    name: 'a header of a megabyte',
    manifest: [raw(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`)],
    error: { code: registry, message: /does not speak HTTP/ },
  },
  {
    name: 'a compressed manifest',
    manifest: [status(200, { 'content-encoding': 'gzip' }, gzipSync(image.manifest))],
    forever: true,
  },
  {
    name: 'a manifest in an encoding that nobody knows',
    manifest: [status(200, { 'content-encoding': 'br' }, image.manifest)],
    forever: true,
    error: { code: registry, message: /in the encoding br, though/ },
  },
  {
    name: 'a layer compressed on the way',
    blob: [(_, r) => void r.setHeader('content-encoding', 'gzip').end(gzipSync(image.layer))],
  },
  {
    name: 'a layer that its storage calls compressed',
    blob: [
      (_, r) => void r.writeHead(200, { 'content-encoding': 'gzip', 'content-length': layer.size }).end(image.layer),
    ],
  },
  {
    name: '401 whatever is done',
    manifest: [status(401, { 'www-authenticate': 'Basic realm="x"' })],
    forever: true,
    error: { code: 'unauthorized', message: /./ },
  },
  {
    name: '401 that asks for nothing',
    manifest: [status(401)],
    forever: true,
    error: { code: 'unauthorized', message: /./ },
  },
  {
    name: 'another protocol',
    manifest: [raw('SSH-2.0-x\r\n')],
    error: { code: registry, message: /does not speak HTTP/ },
  },
  {
    name: 'HTTP that makes no sense',
    manifest: [raw('HTTP/1.1 two-hundred OK\r\n\r\n')],
    error: { code: registry, message: /does not speak HTTP/ },
  },
  { name: 'a connection that is closed without a word', manifest: [raw('')] },
  {
    name: 'a digest that is not that of the body',
    manifest: [status(200, { 'docker-content-digest': digestOf(image.layer) }, image.manifest)],
    error: { code: 'digest', message: /not sha256:/ },
  },
  { name: 'a digest that is none', manifest: [status(200, { 'docker-content-digest': 'sha256:x' }, image.manifest)] },
  { name: 'nothing', manifest: [status(200)], error: { code: 'manifest', message: /not JSON/ } },
]

// Most of them wait for a timeout.
describe('a pull that meets', { concurrency: 8 }, () => {
  for (const { name, blob = [], manifest = [], forever, error } of faults) {
    test(`${name}: ${error === undefined ? 'success' : 'one error'}`, async () => {
      const left = { blobs: [...blob], manifests: [...manifest] }
      await using server = await serve((request, response) => {
        const kind = /\/(blobs|manifests)\//.exec(request.url ?? '')?.[1] as 'blobs' | 'manifests' | undefined
        const faulty = kind === undefined ? [] : left[kind]
        const handler = forever ? faulty[0] : faulty.shift()
        if (handler === undefined) genuine(request, response)
        else handler(request, response)
      })
      const { source, context } = reading(server.host, {
        retries: 2,
        timeouts: { connect: 1000, headers: 1000, idle: 1000 },
      })
      const pulling = pull(source, context)
      if (error === undefined) assert.ok((await pulling).equals(image.layer))
      else await assert.rejects(pulling, { name: 'ForerunError', ...error })
      await source[Symbol.asyncDispose]()
      assert.ok(flooded < 60_000_000, `${flooded} bytes were sent`)
    })
  }
})

async function pull(source: ReturnType<typeof reading>['source'], context: ReturnType<typeof reading>['context']) {
  await source.manifest(amd64, context)
  return collect(source, layer, context)
}

test('a token without end, one that drips and one that is no JSON: one error', async () => {
  for (const [token, message] of [
    [flood(200), /the token .* has more than/],
    [drip('HTTP/1.1 200 OK\r\n\r\n', ' '), slowly],
    [status(200, {}, '<html>'), /not a token/],
    [status(500), /500.*after 3 attempts/],
    [status(401), /401/],
  ] as const) {
    await using server = await serve((request, response) => {
      if (request.url?.startsWith('/token')) token(request, response)
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()
    })
    const { source, context } = reading(server.host, { retries: 2 })
    await assert.rejects(source.manifest(amd64, context), { name: 'ForerunError', message })
    await source[Symbol.asyncDispose]()
  }
})

test('a TLS handshake that drips: one error', async () => {
  await using server = await serveSockets((socket) => {
    const timer = setInterval(() => socket.write(Buffer.of(0x16)), 20)
    socket.on('close', () => clearInterval(timer)).on('error', () => {})
  })
  const { source, context } = reading(server.host, { retries: 1, tlsVerify: true, timeouts: { connect: 300 } })
  await assert.rejects(source.manifest(amd64, context), { name: 'ForerunError', code: 'registry' })
})

test('names that are long, and hosts and digests of the other kinds: success', async () => {
  const { digest } = layer
  const tag = 't'.repeat(128)
  const sha512 = digestOf(image.manifest, 'sha512:')
  await using server = await serve(registryOf({ [tag]: image.manifest, [sha512]: image.manifest }, image), {
    host: '::1',
  })
  for (const name of [`team/app:${tag}`, `team/app@${sha512}`, `team/app@${digestOf(image.manifest)}`]) {
    const { source, context } = reading(server.host, {}, name)
    const resolved = await source.manifest(amd64, context)
    assert.equal(resolved.manifest.layers[0]?.digest, digest)
    assert.equal(resolved.digest, name.includes('sha512') ? sha512 : digestOf(image.manifest))
    assert.equal(resolved.reference, `${server.host}/${name}`)
    await source[Symbol.asyncDispose]()
  }
})

test('disposing ends what is under way, at once', async () => {
  await using server = await serve((request, response) => {
    if (request.url?.includes('/blobs/')) upTo(500_000, () => {})(request, response)
    else genuine(request, response)
  })
  const { source, context } = reading(server.host, { timeouts: { idle: 60_000, headers: 60_000 } })
  await source.manifest(amd64, context)
  const chunks = source.blob(layer, context)[Symbol.asyncIterator]()
  await chunks.next()
  const started = performance.now()
  await source[Symbol.asyncDispose]()
  assert.ok(performance.now() - started < 500)
})

test('an answer that is dropped and drips is not waited for', async () => {
  await using server = await serve(drip('HTTP/1.1 200 OK\r\n\r\n', 'x'))
  const registry = openRegistry(parseReference(`${server.host}/team/app`), quick)
  const { context } = reading(server.host)
  dropBody(await exchange(registry, new URL('/v2/', server.origin), { headers: {}, context }))
  const started = performance.now()
  await registry.dispatcher.close()
  assert.ok(performance.now() - started < 5_000)
})
