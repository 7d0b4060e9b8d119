import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { parseReference } from '../../../../src/image/reference.ts'
import { requestFromRepository } from '../../../../src/source/registry/protocol/request.ts'
import { openRegistry } from '../../../../src/source/registry/transport/registry.ts'
import { registryOf, testImage } from '../image.ts'
import { amd64, collect, quick, reading } from '../reading.ts'
import { type Handler, serve } from '../server.ts'

const image = testImage()
const genuine = registryOf({ 1: image.manifest }, image)

/** Answers the first requests for a manifest by these handlers. */
function faulty(...faults: Handler[]): Handler {
  return (request, response) => {
    const fault = request.url?.includes('/manifests/') ? faults.shift() : undefined
    if (fault === undefined) genuine(request, response)
    else fault(request, response)
  }
}

function answering(status: number, headers: Record<string, string> = {}, body = ''): Handler {
  return (_, response) => void response.writeHead(status, headers).end(body)
}

test('a manifest that was compressed for the way is decompressed, within the limit for documents', async () => {
  const encoded = (encoding: string, bytes: Buffer): Handler => {
    return (_, response) => void response.setHeader('content-encoding', encoding).end(bytes)
  }
  for (const answer of [
    encoded('gzip', gzipSync(image.manifest)),
    encoded('X-Gzip', gzipSync(image.manifest)),
    // It only says so.
    encoded('gzip', image.manifest),
  ]) {
    await using server = await serve(faulty(answer))
    const { source, context } = reading(server.host)
    assert.deepEqual((await source.manifest(amd64, context)).bytes, image.manifest)
  }
  await using server = await serve(faulty(encoded('gzip', gzipSync(Buffer.alloc(100_000_000)))))
  const { source, context } = reading(server.host)
  await assert.rejects(source.manifest(amd64, context), { code: 'limit', message: /the manifest .* more than 4194304/ })
})

test('too many requests and errors of the server are tried again, waiting longer each time', async () => {
  await using server = await serve(
    faulty(answering(429), answering(500), answering(502), answering(503), answering(504)),
  )
  const { source, context, events } = reading(server.host, { delays: { first: 20 } })
  await source.manifest(amd64, context)
  const delays = events.flatMap((event) => (event.type === 'retry' ? [event.delay] : []))
  assert.equal(delays.length, 5)
  for (const [index, delay] of delays.entries())
    assert.ok(delay >= 15 * 2 ** index && delay <= 20 * 2 ** index, String(delays))
})

test('the registry says how long to wait, in seconds or by a date', async () => {
  const soon = new Date(Date.now() + 2_000).toUTCString()
  await using server = await serve(
    faulty(answering(429, { 'retry-after': '1' }), answering(503, { 'retry-after': soon })),
  )
  const { source, context, events } = reading(server.host)
  const started = performance.now()
  await source.manifest(amd64, context)
  assert.ok(performance.now() - started >= 1_000)
  const delays = events.flatMap((event) => (event.type === 'retry' ? [event.delay] : []))
  assert.equal(delays[0], 1_000)
  assert.ok((delays[1] ?? -1) >= 0 && (delays[1] ?? 0) <= 2_000)
})

test('a registry that asks to wait for an hour is not waited for, and the error says how long', async () => {
  await using server = await serve(
    answering(429, { 'retry-after': '3600' }, '{"errors":[{"message":"pull rate limit"}]}'),
  )
  const { source, context, retries } = reading(server.host)
  await assert.rejects(source.manifest(amd64, context), {
    code: 'registry',
    message: /pull rate limit/,
    hint: /in 3600 s/,
  })
  assert.equal(retries().length, 0)
})

test('an error of the server that remains is told after the retries, with what the registry says, on one line', async () => {
  const body = '{"errors":[{"code":"UNKNOWN","message":"disk\\nfull\\u001b[31m"}]}'
  await using server = await serve(answering(500, {}, body))
  const { source, context, retries } = reading(server.host, { retries: 2 })
  await assert.rejects(source.manifest(amd64, context), {
    code: 'registry',
    message: `${server.host} answers with an error (500 Internal Server Error: disk full [31m), after 3 attempts`,
  })
  assert.equal(retries().length, 2)
})

test('an answer that no retry will change is told at once', async () => {
  for (const [status, code] of [
    [400, 'registry'],
    [403, 'unauthorized'],
    [405, 'registry'],
    [204, 'registry'],
  ] as const) {
    await using server = await serve(faulty(answering(status, {}, '<html>no</html>')))
    const { source, context, retries } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code, message: new RegExp(String(status)), hint: /./ })
    assert.equal(retries().length, 0)
  }
})

test('a connection that is cut before the answer is tried again', async () => {
  const reset: Handler = (request) => void request.socket.resetAndDestroy()
  const half: Handler = (_, response) => {
    response.setHeader('content-length', image.manifest.length)
    response.write(image.manifest.subarray(0, 10), () => response.socket?.destroy())
  }
  await using server = await serve(faulty(reset, half))
  const { source, context, retries } = reading(server.host)
  await source.manifest(amd64, context)
  assert.equal(retries().length, 2)
})

test('a redirect to another origin is followed without the authorization', async () => {
  await using storage = await serve((_, response) => void response.end(image.layer))
  await using server = await serve((request, response) => {
    if (request.url?.startsWith('/token')) response.end('{"token":"abc"}')
    else if (request.url !== '/v2/' && request.headers.authorization !== 'Bearer abc') {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()
    } else if (request.url?.includes('/blobs/')) response.writeHead(302, { location: '/here' }).end()
    else if (request.url === '/here') response.writeHead(307, { location: `${storage.origin}/there?sig=1` }).end()
    else genuine(request, response)
  })
  const { source, context } = reading(server.host)
  assert.ok((await collect(source, image.layerDescriptor, context)).equals(image.layer))
  assert.equal(server.requests.find(({ url }) => url === '/here')?.headers.authorization, 'Bearer abc')
  assert.equal(storage.requests[0]?.url, '/there?sig=1')
  assert.equal(storage.requests[0]?.headers.authorization, undefined)
})

test('a redirect that leads nowhere is refused', async () => {
  const locations: [string | undefined, RegExp][] = [
    ['/v2/team/app/manifests/1', /redirects more than 10 times/],
    ['ftp://example/x', /redirects to no web address/],
    ['http://[', /redirects to no address/],
    [undefined, /redirects to no address/],
  ]
  for (const [location, message] of locations) {
    await using server = await serve((request, response) => {
      if (request.url === '/v2/') response.end()
      else response.writeHead(307, location === undefined ? {} : { location }).end()
    })
    const { source, context } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code: 'registry', message })
    assert.ok(server.requests.length <= 12)
  }
})

test('something that does not speak HTTP is refused', async () => {
  await using server = await serve((request) => void request.socket.end('SSH-2.0-OpenSSH\r\n'))
  const { source, context } = reading(server.host)
  await assert.rejects(source.manifest(amd64, context), { code: 'registry', message: /does not speak HTTP/ })
})

test('what is written is sent anew where it has to be: after a challenge, and to where a redirect leads', async () => {
  const received: string[] = []
  await using server = await serve((request, response) => {
    if (request.url?.startsWith('/token')) return void response.end('{"token":"abc"}')
    if (request.url === '/v2/') return void response.end()
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push(`${request.method} ${request.url} ${Buffer.concat(chunks)}`)
      if (request.headers.authorization !== 'Bearer abc') {
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()
      } else if (request.url?.endsWith('/first')) response.writeHead(307, { location: '/second' }).end()
      else response.writeHead(201).end()
    })
  })
  const { registry, context } = opened(server.host)
  let made = 0
  const body = () => {
    made += 1
    return Readable.from([Buffer.from('by'), Buffer.from('tes')])
  }
  const scope = { actions: 'pull,push' } as const
  const sending = { method: 'PUT', body, scope, accepted: [201], context } as const
  const answer = await requestFromRepository(registry, 'first', sending)
  assert.equal(answer.status, 201)
  await answer.body.dump()
  assert.deepEqual(received, ['PUT /v2/team/app/first bytes', 'PUT /v2/team/app/first bytes', 'PUT /second bytes'])
  assert.equal(made, 3)
  const { searchParams } = new URL(
    server.requests.find(({ url }) => url?.startsWith('/token'))?.url ?? '',
    server.origin,
  )
  assert.deepEqual(searchParams.getAll('scope'), ['repository:team/app:pull,push'])
  await registry.dispatcher.destroy()
})

test('what is written is sent once: a fault is told to the sender, and a redirect that changes the method is no answer', async () => {
  for (const [handler, error] of [
    [answering(302, { location: '/elsewhere' }), { code: 'registry', message: /302/ }],
    [answering(503), { name: 'Error', message: /503/ }],
    [(request) => void request.socket.destroy(), { name: 'Error', message: /was cut/ }],
  ] satisfies [Handler, object][]) {
    await using server = await serve((request, response) => {
      if (request.method === 'POST') handler(request, response)
      else response.end()
    })
    const { registry, context } = opened(server.host)
    const posting = requestFromRepository(registry, 'uploads/', { method: 'POST', body: Buffer.from('x'), context })
    await assert.rejects(posting, error)
    assert.deepEqual(server.requests.filter(({ method }) => method === 'POST').length, 1)
    await registry.dispatcher.destroy()
  }
})

test('an address that the registry gave is asked as it is, and at another origin without the authorization', async () => {
  await using other = await serve((_, response) => void response.end())
  await using server = await serve((request, response) => {
    if (request.url?.startsWith('/token')) response.end('{"token":"abc"}')
    else if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()
    } else response.end()
  })
  const { registry, context } = opened(server.host)
  for (const { origin } of [server, other]) {
    const answer = await requestFromRepository(registry, new URL('/upload?state=a%2Fb', origin), { context })
    await answer.body.dump()
  }
  assert.equal(server.requests.at(-1)?.headers.authorization, 'Bearer abc')
  assert.deepEqual(
    other.requests.map(({ url, headers }) => [url, headers.authorization]),
    [['/upload?state=a%2Fb', undefined]],
  )
  await registry.dispatcher.destroy()
})

function opened(host: string) {
  const { context } = reading(host)
  return { registry: openRegistry(parseReference(`${host}/team/app:1`), quick), context }
}
