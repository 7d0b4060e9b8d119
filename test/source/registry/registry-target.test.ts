import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../../../src/errors.ts'
import { digestOf } from '../../../src/image/digest.ts'
import { makeCertificates } from './certificates.ts'
import { descriptor, json, ociManifest } from './image.ts'
import { serve } from './server.ts'
import { blobOf, uploadServer, whole, writing } from './upload-server.ts'

const bytes = randomBytes(3_000_000)
const digest = digestOf(bytes)
const manifest = json({ schemaVersion: 2, mediaType: ociManifest, layers: [descriptor('x', bytes)] })
const document = { mediaType: ociManifest, digest: digestOf(manifest), bytes: manifest }

test('a blob and a manifest arrive byte for byte, and a blob that is there is not sent again', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host)
  const blob = blobOf(bytes)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  await target.writeManifest(document, context)
  assert.ok(registry.blobs.get(`team/app ${digest}`)?.equals(bytes))
  assert.deepEqual(registry.manifests.get('team/app:1'), { type: ociManifest, bytes: manifest })
  assert.deepEqual([blob.opened, blob.closed], [1, 1])
  registry.log.length = 0
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'present')
  assert.deepEqual([registry.log, blob.opened], [[], 1])
})

test('an empty blob is sent', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host)
  const blob = blobOf(Buffer.alloc(0))
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.equal(registry.blobs.size, 1)
})

test('a blob is mounted from the first neighbour of the same registry that has it', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  registry.blobs.set(`team/base ${digest}`, bytes)
  const { target, context } = writing(server.host)
  const neighbours = ['other.example/team/base', 'team/app', 'team/old', 'team/base'].map((name) =>
    name.startsWith('other') ? name : `${server.host}/${name}`,
  )
  const blob = blobOf(bytes, neighbours)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'mounted')
  const query = (from: string) => new URLSearchParams({ mount: digest, from })
  assert.deepEqual(registry.log, [
    `POST /v2/team/app/blobs/uploads/?${query('team/old')}`,
    `POST /v2/team/app/blobs/uploads/?${query('team/base')}`,
  ])
  assert.equal(blob.opened, 0)
})

test('what a registry begins in place of mounting is used for the upload', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host)
  const blob = blobOf(bytes, [`${server.host}/team/base`])
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.deepEqual(
    registry.log.map((line) => line.replace(/\?.*/, '')),
    ['POST /v2/team/app/blobs/uploads/', 'PUT /v2/team/app/blobs/uploads/1'],
  )
})

test('a registry that refuses to mount gets the blob sent', async () => {
  for (const status of [400, 401, 403, 404, 405, 500]) {
    const registry = uploadServer()
    registry.fault = (request, response) => {
      if (request.url?.includes('mount=') !== true) return false
      response.writeHead(status).end()
      return true
    }
    await using server = await serve(registry.handler)
    const { target, context } = writing(server.host)
    const blob = blobOf(bytes, [`${server.host}/team/base`])
    assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent', `status ${status}`)
  }
})

test('the address of an upload may be relative, absolute, and have a query, which is kept to the byte', async () => {
  const query = '_state=a%2Fb+c~%3D%3d&x'
  const addresses: [location: (session: string, origin: string) => string, put: string][] = [
    [(session) => session, '/v2/team/app/blobs/uploads/1?'],
    [(session) => `${session.split('/').at(-1)}?${query}`, `/v2/team/app/blobs/uploads/1?${query}&`],
    [(session, origin) => `${origin}${session}?${query}`, `/v2/team/app/blobs/uploads/1?${query}&`],
  ]
  for (const [location, put] of addresses) {
    const registry = uploadServer()
    await using server = await serve(registry.handler)
    registry.location = (session) => location(session, server.origin)
    const { target, context } = writing(server.host)
    const blob = blobOf(bytes)
    assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
    assert.equal(registry.log.at(-1), `PUT ${put}digest=${encodeURIComponent(digest)}`)
  }
})

test('an address at another host gets the blob, and no credentials', async () => {
  const storage = uploadServer()
  await using other = await serve(storage.handler)
  const registry = uploadServer()
  registry.location = (session) => `${other.origin}${session}`
  const authorized: string[] = []
  registry.fault = (request, response) => {
    if (request.headers.authorization !== undefined) authorized.push(request.method ?? '')
    else if (request.url !== '/v2/') return respond(response, 401, { 'www-authenticate': 'Basic realm="x"' })
    return false
  }
  await using server = await serve(registry.handler)
  const credentials = async () => ({ user: 'ann', password: 'secret' })
  const { target, context } = writing(server.host, { credentials })
  const blob = blobOf(bytes)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.deepEqual(authorized, ['HEAD', 'POST'])
  assert.deepEqual(
    other.requests.map(({ method, headers }) => [method, headers.authorization]),
    [['PUT', undefined]],
  )
})

test('an upload that is cut is begun again from its first byte', async () => {
  const registry = uploadServer()
  let cuts = 2
  registry.fault = (request) => {
    if (request.method !== 'PUT' || cuts-- <= 0) return false
    request.once('data', () => request.socket.destroy())
    return true
  }
  await using server = await serve(registry.handler)
  const { target, context, retries } = writing(server.host)
  const blob = blobOf(bytes)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.equal(retries().length, 2)
  assert.deepEqual([blob.opened, blob.closed], [3, 3])
  assert.deepEqual(
    registry.log.map((line) => line.replace(/\?.*/, '').replace('/v2/team/app/blobs/uploads/', '')),
    ['POST ', 'PUT 1', 'POST ', 'PUT 2', 'POST ', 'PUT 3'],
  )
})

test('a blob whose upload came to its end, but not the answer, is not sent twice', async () => {
  const registry = uploadServer()
  registry.fault = (request) => {
    if (request.method !== 'PUT') return false
    whole(request).then((body) => {
      registry.blobs.set(`team/app ${digest}`, body)
      request.socket.destroy()
    })
    return true
  }
  await using server = await serve(registry.handler)
  const { target, context, retries } = writing(server.host)
  const blob = blobOf(bytes)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'present')
  assert.deepEqual([blob.opened, retries().length], [1, 1])
})

test('a registry that loses an upload which it has begun gets it anew', async () => {
  for (const status of [404, 416]) {
    const registry = uploadServer()
    let losses = 2
    registry.fault = (request, response) => request.method === 'PUT' && losses-- > 0 && respond(response, status, {})
    await using server = await serve(registry.handler)
    const { target, context } = writing(server.host)
    const blob = blobOf(bytes)
    assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
    losses = 9
    const other = blobOf(bytes.subarray(1))
    await assert.rejects(target.writeBlob(other.descriptor, other, context), { message: /has lost the upload .*after/ })
    assert.deepEqual([blob.closed, other.closed], [3, 6])
  }
})

test('an upload that always fails is given up after the retries that the settings say', async () => {
  const registry = uploadServer()
  registry.fault = (request) => {
    if (request.method === 'PUT') request.once('data', () => request.socket.destroy())
    return request.method === 'PUT'
  }
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host, { retries: 3 })
  const blob = blobOf(bytes)
  await assert.rejects(target.writeBlob(blob.descriptor, blob, context), {
    code: 'registry',
    message: /was cut, after 4 attempts/,
  })
  assert.deepEqual([blob.opened, blob.closed], [4, 4])
})

test('a registry that asks to wait is waited for, for blobs and manifests', async () => {
  const registry = uploadServer()
  const faults: [status: number, wait: string][] = [
    [429, '1'],
    [503, '0'],
    [429, '0'],
  ]
  registry.fault = (request, response) => {
    const [status, wait] = (request.method === 'PUT' && faults.shift()) || []
    if (status === undefined || wait === undefined) return false
    request.resume()
    return respond(response, status, { 'retry-after': wait })
  }
  await using server = await serve(registry.handler)
  const { target, context, events } = writing(server.host)
  const blob = blobOf(bytes.subarray(0, 1000))
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  faults.push([429, '0'])
  await target.writeManifest(document, context)
  assert.deepEqual(
    events.flatMap((event) => (event.type === 'retry' ? [event.delay] : [])),
    [1000, 0, 0, 0],
  )
})

test('a token is asked for with the right to push, and to pull from the neighbour; one that expires in between is renewed', async () => {
  const registry = uploadServer()
  const scopes: string[][] = []
  let expired = 0
  registry.fault = (request, response) => {
    const url = new URL(request.url ?? '', 'http://registry')
    if (url.pathname === '/token') {
      scopes.push(url.searchParams.getAll('scope'))
      response.end(JSON.stringify({ token: `t${scopes.length}` }))
      return true
    }
    if (url.pathname === '/v2/') return false
    const isExpired = request.method === 'PUT' && expired++ === 0
    if (request.headers.authorization !== undefined && !isExpired) return false
    request.resume()
    const realm = `http://${request.headers.host}/token`
    return respond(response, 401, { 'www-authenticate': `Bearer realm="${realm}",service="registry"` })
  }
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host)
  const blob = blobOf(bytes, [`${server.host}/team/base`])
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.deepEqual(scopes, [
    ['repository:team/app:pull,push'],
    ['repository:team/app:pull,push', 'repository:team/base:pull'],
    ['repository:team/app:pull,push'],
  ])
  assert.deepEqual([blob.opened, blob.closed], [2, 2])
})

const refusals: [status: number, code: string, message: RegExp, hint: RegExp][] = [
  [400, 'registry', /cannot be pushed to .*\/team\/app: .*400 Bad Request: no such/, /know/],
  [403, 'unauthorized', /cannot be pushed to .*403 Forbidden: no such/, /forerun login/],
  [404, 'image-not-found', /cannot be pushed to .*404 Not Found: no such/, /made first/],
  [405, 'registry', /cannot be pushed to .*405 Method Not Allowed/, /reading/],
  [413, 'registry', /cannot be pushed to .*413 Payload Too Large/, /limits the size/],
  [507, 'registry', /cannot be pushed to .*507 Insufficient Storage/, /full/],
]

for (const [status, code, message, hint] of refusals) {
  test(`a ${status} is told of at once, whatever it answers`, async () => {
    for (const method of status === 404 ? ['POST'] : ['POST', 'PUT']) {
      const registry = uploadServer()
      registry.fault = (request, response) => {
        if (request.method !== method) return false
        // Early: nothing of the body has been read.
        return respond(response, status, {}, '{"errors":[{"code":"X","message":"no such"}]}')
      }
      await using server = await serve(registry.handler)
      const { target, context, retries } = writing(server.host)
      const blob = blobOf(bytes)
      await assert.rejects(target.writeBlob(blob.descriptor, blob, context), (error: ForerunError) => {
        assert.deepEqual([error.code, error.message.startsWith(`blob ${digest} `)], [code, true])
        assert.match(error.message, message)
        assert.match(error.hint ?? '', hint)
        return true
      })
      assert.deepEqual([retries().length, blob.opened - blob.closed], [0, 0])
      await assert.rejects(
        async () => {
          registry.fault = (_, response) => respond(response, status, {}, '{}')
          await target.writeManifest(document, context)
        },
        { code, message: /^the manifest sha256:/ },
      )
    }
  })
}

test('a user who may not push is told of as such', async () => {
  const registry = uploadServer()
  registry.fault = (request, response) =>
    request.method === 'POST' && respond(response, 401, { 'www-authenticate': 'Basic realm="x"' })
  await using server = await serve(registry.handler)
  const credentials = async () => ({ user: 'ann', password: 'secret' })
  const { target, context } = writing(server.host, { credentials })
  const blob = blobOf(bytes)
  await assert.rejects(target.writeBlob(blob.descriptor, blob, context), {
    ...{ code: 'unauthorized', message: /^blob sha256:.* cannot be pushed to .*ann.*401/ },
    hint: /forerun login/,
  })
})

test('content that fails ends the upload with its own error, and is not tried again', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  const { target, context, retries } = writing(server.host)
  const { descriptor: described } = blobOf(bytes)
  const failure = new ForerunError('digest', 'the origin lies')
  const chunks = [0, 1, 20]
  for (const count of chunks) {
    const open = async function* () {
      for (let index = 0; index < count; index += 1) yield bytes.subarray(index * 65_536, (index + 1) * 65_536)
      throw failure
    }
    await assert.rejects(target.writeBlob(described, { open, neighbours: [] }, context), failure)
  }
  assert.deepEqual([retries().length, registry.blobs.size], [0, 0])
})

test('a registry that stores the manifest as another one is told of', async () => {
  const registry = uploadServer()
  registry.fault = (request, response) => {
    if (request.method !== 'PUT') return false
    request.resume()
    return respond(response, 201, { 'docker-content-digest': digest })
  }
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host)
  await assert.rejects(target.writeManifest(document, context), { code: 'digest', message: /has stored the manifest/ })
})

test('a destination with another digest is refused before anything is sent; with its own, the manifest goes there', async () => {
  const registry = uploadServer()
  await using server = await serve(registry.handler)
  const other = writing(server.host, {}, `team/app@${digest}`)
  await assert.rejects(other.target.writeManifest(document, other.context), { code: 'reference' })
  assert.deepEqual(registry.log, [])
  const { target, context } = writing(server.host, {}, `team/app@${document.digest}`)
  await target.writeManifest(document, context)
  assert.deepEqual([...registry.manifests.keys()], [`team/app:${document.digest}`])
})

test('a registry that falls silent ends in an error', async () => {
  const pushing = ['HEAD', 'POST', 'PUT'].map(async (method) => {
    const registry = uploadServer()
    registry.fault = (request) => request.method === method
    await using server = await serve(registry.handler)
    const { target, context } = writing(server.host, { retries: 0, timeouts: { headers: 100 } })
    const blob = blobOf(bytes.subarray(0, 1000))
    await assert.rejects(target.writeBlob(blob.descriptor, blob, context), { code: 'registry', message: /fell silent/ })
  })
  await Promise.all(pushing)
})

test('a registry that does not read is not waited for without end', async () => {
  const registry = uploadServer()
  registry.fault = (request) => {
    if (request.method === 'PUT') request.pause()
    return request.method === 'PUT'
  }
  await using server = await serve(registry.handler)
  const { target, context } = writing(server.host, { retries: 0, timeouts: { headers: 200 } })
  const blob = blobOf(randomBytes(20_000_000))
  await assert.rejects(target.writeBlob(blob.descriptor, blob, context), { code: 'registry', message: /fell silent/ })
  assert.equal(blob.closed, 1)
})

test('content is read no faster than the registry takes it', async () => {
  const registry = uploadServer()
  let paused: IncomingMessage | undefined
  registry.fault = (request) => {
    if (request.method !== 'PUT') return false
    paused = request
    request.pause()
    return true
  }
  await using server = await serve(registry.handler)
  const { target, context, controller } = writing(server.host, { timeouts: { headers: 10_000 } })
  const large = randomBytes(40_000_000)
  let read = 0
  const open = async function* () {
    for (; read < large.length; read += 65_536) yield large.subarray(read, read + 65_536)
  }
  const sending = target.writeBlob(descriptor('x', large), { open, neighbours: [] }, context)
  while (paused === undefined) await sleep(5)
  await sleep(200)
  assert.ok(read < 20_000_000, `${read} bytes were read`)
  controller.abort()
  await assert.rejects(sending, { code: 'interrupted' })
})

test('an upload without an address, or with a senseless one, is refused', async () => {
  for (const location of ['', 'http://', 'ftp://storage.example/x']) {
    const registry = uploadServer()
    registry.fault = (request, response) =>
      request.method === 'POST' && respond(response, 202, location === '' ? {} : { location })
    await using server = await serve(registry.handler)
    const { target, context } = writing(server.host)
    const blob = blobOf(bytes)
    await assert.rejects(target.writeBlob(blob.descriptor, blob, context), { code: 'registry' })
    assert.equal(blob.opened, 0)
  }
})

test('an upload is not sent without TLS to a registry that has it', async () => {
  const registry = uploadServer()
  registry.location = (session) => `http://${server.host}${session}`
  await using server = await serve(registry.handler, makeCertificates().selfSigned)
  const { target, context } = writing(server.host, { tlsVerify: false })
  const blob = blobOf(bytes)
  await assert.rejects(target.writeBlob(blob.descriptor, blob, context), { code: 'registry', message: /without TLS/ })
  assert.equal(blob.opened, 0)
})

test('a redirect that keeps the method is followed with the whole content', async () => {
  const registry = uploadServer()
  registry.fault = (request, response) => {
    if (request.method !== 'PUT' || request.url?.includes('/moved/') === true) return false
    return respond(response, 307, { location: (request.url ?? '').replace('uploads/', 'uploads/moved/') })
  }
  await using server = await serve(async (request, response) => {
    if (request.method === 'PUT' && request.url?.includes('/moved/')) {
      registry.blobs.set('moved', await whole(request))
      response.writeHead(201).end()
    } else registry.handler(request, response)
  })
  const { target, context } = writing(server.host)
  const blob = blobOf(bytes)
  assert.equal(await target.writeBlob(blob.descriptor, blob, context), 'sent')
  assert.ok(registry.blobs.get('moved')?.equals(bytes))
  assert.deepEqual([blob.opened, blob.closed], [2, 2])
})

/** Answers, and says so. */
function respond(response: ServerResponse, status: number, headers: Record<string, string>, body = ''): true {
  response.writeHead(status, headers).end(body)
  return true
}
