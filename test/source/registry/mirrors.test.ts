import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { treeOf } from './containers-files.ts'
import { registryOf, testImage } from './image.ts'
import { amd64, collect, reading } from './reading.ts'
import { type Handler, serve, type TestServer } from './server.ts'

const image = testImage({ layerSize: 1_000_000 })
const layer = image.layerDescriptor
const genuine = registryOf({ 1: image.manifest }, image)
const none: Handler = (_, response) => void response.writeHead(404).end()

/** Serves the layer up to byte `end`, and then nothing any more. */
function dyingAt(end: number): Handler {
  let isDead = false
  return (request, response) => {
    if (!request.url?.includes('/blobs/')) return genuine(request, response)
    if (isDead) return void response.destroy()
    isDead = true
    response.setHeader('content-length', layer.size)
    response.write(image.layer.subarray(0, end), () => setTimeout(() => response.destroy(), 50))
  }
}

/** Reads `registry.example/team/app:1`, which is at `primary` and has these mirrors, with lines for their tables. */
function mirrored(primary: TestServer, mirrors: (TestServer | string)[], { name = 'team/app:1', lines = '' } = {}) {
  const tables = mirrors.map(
    (mirror) => `[[registry.mirror]]\nlocation = "${typeof mirror === 'string' ? mirror : mirror.host}"\n${lines}`,
  )
  using tree = treeOf({
    'etc/containers/registries.conf': `[[registry]]\nprefix = "registry.example"\nlocation = "${primary.host}"\n${tables.join('\n')}`,
  })
  const asked: string[] = []
  const credentials = async ({ domain }: { domain: string }) => {
    asked.push(domain)
    return undefined
  }
  const read = reading('registry.example', { ...tree.place, retries: 2, credentials }, name)
  const notices = () => read.events.flatMap((event) => (event.type === 'notice' ? [event.message] : []))
  return { ...read, notices, asked }
}

const blobs = ({ requests }: TestServer) => requests.filter(({ url }) => url?.includes('/blobs/'))

test('an image is had from the first mirror, under the name that was asked for, and the registry is left alone', async () => {
  await using primary = await serve(none)
  await using mirror = await serve(genuine)
  const { source, context, notices } = mirrored(primary, [mirror])
  const resolved = await source.manifest(amd64, context)
  assert.equal(resolved.reference, 'registry.example/team/app:1')
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  assert.equal(primary.requests.length, 0)
  assert.deepEqual(notices(), [])
})

test('mirrors that have not the image, refuse, lie or are not there are left for the next, each with a notice', async () => {
  const gone = await serve(none)
  await gone[Symbol.asyncDispose]()
  const claim = digestOf(Buffer.from('another'))
  await using empty = await serve(none)
  await using forbidding = await serve((_, response) => void response.writeHead(403).end())
  await using failing = await serve((_, response) => void response.writeHead(500).end())
  await using lying = await serve(
    (_, response) => void response.setHeader('docker-content-digest', claim).end(image.manifest),
  )
  await using portal = await serve((_, response) => void response.end('<html>Log in</html>'))
  await using primary = await serve(genuine)
  const mirrors = [gone, empty, forbidding, failing, lying, portal]
  const { source, context, notices, retries } = mirrored(primary, mirrors)
  assert.equal((await source.manifest(amd64, context)).digest, digestOf(image.manifest))
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  const expected = [/refuses the connection/, /has no tag 1/, /403/, /500.*after 2 attempts/, /not sha256:/, /not JSON/]
  for (const [index, message] of expected.entries()) {
    const next = [...mirrors, primary][index + 1]
    assert.match(notices()[index] ?? '', message)
    assert.ok(
      notices()[index]?.startsWith(`the mirror ${mirrors[index]?.host}/team/app is left for ${next?.host}/team/app: `),
    )
  }
  assert.equal(notices().length, expected.length)
  assert.equal(retries().length, 1)
  for (const mirror of mirrors) assert.equal(blobs(mirror).length, 0)
})

test('a mirror that dies in the middle of a layer is left for the next, which goes on from the same byte', async () => {
  await using dying = await serve(dyingAt(400_000))
  await using worse = await serve(dyingAt(0))
  await using primary = await serve(genuine)
  const { source, context, notices } = mirrored(primary, [dying, worse])
  await source.manifest(amd64, context)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  assert.equal(notices().length, 2)
  assert.match(notices()[0] ?? '', /was cut, after 2 attempts$/)
  const [request] = blobs(primary)
  assert.equal(blobs(primary).length, 1)
  const start = Number(/^bytes=(\d+)-$/.exec(request?.headers.range ?? '')?.[1])
  assert.ok(start > 0 && start <= 400_000, String(start))
})

test('mirrors that gave wrong bytes are left, when that is told', async () => {
  const wrong = Buffer.alloc(layer.size)
  await using lying = await serve((request, response) => {
    if (request.url?.endsWith(layer.digest)) response.end(wrong)
    else genuine(request, response)
  })
  await using primary = await serve(genuine)
  const { source, context, notices } = mirrored(primary, [lying])
  await source.manifest(amd64, context)
  assert.ok((await collect(source, layer, context)).equals(wrong))
  assert.equal(source.distrust?.(layer, context), true)
  assert.match(notices()[0] ?? '', /is left for .*: it gave wrong bytes for sha256:/)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  assert.equal(source.distrust?.(layer, context), false)
})

test('a mirror that lacks a layer is left, and what is asked for later is asked elsewhere, too', async () => {
  await using mirror = await serve(registryOf({ 1: image.manifest }, { ...image, layer: Buffer.alloc(0) }))
  await using primary = await serve(genuine)
  const { source, context, notices } = mirrored(primary, [mirror])
  const { manifest } = await source.manifest(amd64, context)
  const parts = await Promise.all([layer, layer, manifest.config].map((part) => collect(source, part, context)))
  assert.ok(parts[1]?.equals(image.layer) && parts[2]?.equals(image.configuration))
  assert.equal(notices().length, 1)
})

test("when all fail, the registry's own error is told, and that its mirrors failed, too", async () => {
  await using mirror = await serve((_, response) => void response.writeHead(403).end())
  await using primary = await serve(none)
  const { source, context } = mirrored(primary, [mirror])
  await assert.rejects(source.manifest(amd64, context), {
    code: 'image-not-found',
    message: new RegExp(
      `^${primary.host}/team/app has no tag 1.* \\(its mirrors failed, too: ${mirror.host}/team/app: .*403`,
    ),
    hint: /spelling/,
  })
})

test('an interruption is no failure of a mirror', async () => {
  await using mirror = await serve(() => {})
  await using primary = await serve(genuine)
  const { source, context, controller, notices } = mirrored(primary, [mirror])
  setTimeout(() => controller.abort(), 50)
  await assert.rejects(source.manifest(amd64, context), { code: 'interrupted' })
  assert.deepEqual(notices(), [])
  assert.equal(primary.requests.length, 0)
})

test('whom to be is asked for each place by its own name, and a token of one is not shown to another', async () => {
  const asking =
    (token: string): Handler =>
    (request, response) => {
      if (request.url?.startsWith('/token')) response.end(JSON.stringify({ token }))
      else if (request.headers.authorization !== `Bearer ${token}`) {
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end()
      } else genuine(request, response)
    }
  const dying = dyingAt(100_000)
  await using mirror = await serve((request, response) => {
    if (request.url?.includes('/blobs/')) dying(request, response)
    else asking('mirrors')(request, response)
  })
  await using primary = await serve(asking('own'))
  const { source, context, asked } = mirrored(primary, [mirror])
  await source.manifest(amd64, context)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  assert.deepEqual(asked, [mirror.host, primary.host])
  assert.ok(primary.requests.every(({ headers }) => headers.authorization !== 'Bearer mirrors'))
})

test('a place that is blocked is not asked, and said to be', async () => {
  await using mirror = await serve(none)
  await using primary = await serve(genuine)
  using tree = treeOf({
    'etc/containers/registries.conf': `[[registry]]\nlocation = "${primary.host}"\nblocked = true\n[[registry.mirror]]\nlocation = "${mirror.host}"\n`,
  })
  const { source, context } = reading(primary.host, tree.place)
  await assert.rejects(source.manifest(amd64, context), {
    code: 'registry',
    message: /is blocked by .*registries\.conf \(its mirrors failed, too: /,
    hint: /blocked = true/,
  })
  assert.equal(primary.requests.length, 0)
})
