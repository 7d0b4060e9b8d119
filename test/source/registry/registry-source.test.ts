import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { descriptor, indexOf, json, ociIndex, ociManifest, registryOf, testImage } from './image.ts'
import { amd64, collect, reading } from './reading.ts'
import { type Handler, serve } from './server.ts'

test('an image is resolved by its tag, with the bytes as the registry has them', async () => {
  const image = testImage()
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  const resolved = await source.manifest(amd64, context)
  assert.equal(resolved.reference, `${server.host}/team/app:1`)
  assert.equal(resolved.digest, digestOf(image.manifest))
  assert.deepEqual(resolved.bytes, image.manifest)
  assert.deepEqual(await collect(source, image.layerDescriptor, context), image.layer)
  const accept = server.requests.find(({ url }) => url?.includes('manifests'))?.headers.accept ?? ''
  for (const type of ['oci.image.index', 'oci.image.manifest', 'manifest.list.v2', 'distribution.manifest.v2']) {
    assert.match(accept, new RegExp(type.replaceAll('.', '\\.')))
  }
})

test('an image is resolved by its digest, also beside a tag', async () => {
  const image = testImage()
  await using server = await serve(registryOf({ 1: Buffer.from('another') }, image))
  for (const name of ['team/app', 'team/app:1']) {
    const { source, context } = reading(server.host, {}, `${name}@${digestOf(image.manifest)}`)
    assert.equal((await source.manifest(amd64, context)).digest, digestOf(image.manifest))
  }
})

test("the host's platform is chosen from an index in an index", async () => {
  const [arm, amd] = [testImage({ architecture: 'arm64' }), testImage()]
  const inner = indexOf(
    { ...descriptor(ociManifest, arm.manifest), platform: { os: 'linux', architecture: 'arm64' } },
    { ...descriptor(ociManifest, amd.manifest), platform: { os: 'linux', architecture: 'amd64' } },
  )
  const outer = indexOf(descriptor(ociIndex, inner))
  await using server = await serve(registryOf({ 1: outer, inner }, arm, amd))
  const { source, context } = reading(server.host)
  assert.equal((await source.manifest(amd64, context)).digest, digestOf(amd.manifest))
  await assert.rejects(source.manifest({ os: 'linux', architecture: 's390x' }, context), {
    code: 'platform',
    message: /for linux\/arm64, linux\/amd64/,
  })
})

test('an index whose indexes do not end is refused', async () => {
  let document = indexOf()
  const tags: Record<string, Buffer> = {}
  for (let depth = 0; depth < 6; depth += 1) {
    tags[`depth${depth}`] = document
    document = indexOf(descriptor(ociIndex, document))
  }
  await using server = await serve(registryOf({ ...tags, 1: document }))
  const { source, context } = reading(server.host)
  await assert.rejects(source.manifest(amd64, context), { code: 'limit', message: /more than 4 deep/ })
})

test('a tag or digest that is not there is named together with its repository', async () => {
  await using server = await serve(registryOf({}))
  const missing = `sha256:${'0'.repeat(64)}`
  for (const [name, words] of [
    ['team/app:9', /team\/app has no tag 9/],
    [`team/app@${missing}`, /team\/app has no manifest sha256:000/],
  ] as const) {
    const { source, context, retries } = reading(server.host, {}, name)
    await assert.rejects(source.manifest(amd64, context), { code: 'image-not-found', message: words, hint: /spelling/ })
    assert.equal(retries().length, 0)
  }
})

test('a manifest whose digest lies is refused, whether asked for by tag, by digest or by an index', async () => {
  const image = testImage()
  const claim = digestOf(Buffer.from('something else'))
  const lying: Handler = (_, response) => void response.setHeader('docker-content-digest', claim).end(image.manifest)
  await using server = await serve(lying)
  for (const name of ['team/app:1', `team/app@${claim}`]) {
    const { source, context } = reading(server.host, {}, name)
    await assert.rejects(source.manifest(amd64, context), { code: 'digest', message: /not sha256:/ })
  }
  const entry = { ...descriptor(ociManifest, image.manifest), size: 7 }
  await using indexed = await serve(registryOf({ 1: indexOf(entry) }, image))
  const { source, context } = reading(indexed.host)
  await assert.rejects(source.manifest(amd64, context), { code: 'digest', message: /where its index says 7/ })
})

test('a manifest of 100 MB and one without end are refused at once', async () => {
  let sent = 0
  const chunk = Buffer.alloc(65_536, 0x20)
  await using server = await serve((request, response) => {
    if (request.url?.endsWith('/1')) response.setHeader('content-length', 100_000_000)
    const more = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length
    }
    response.on('drain', more)
    more()
  })
  for (const name of ['team/app:1', 'team/app:endless']) {
    const { source, context } = reading(server.host, {}, name)
    await assert.rejects(source.manifest(amd64, context), {
      code: 'limit',
      message: /the manifest .* has more than 4194304 bytes/,
    })
  }
  assert.ok(sent < 30_000_000, `${sent} bytes were sent`)
})

test('answers that are no manifest are refused', async () => {
  const answers: [Buffer, string, RegExp][] = [
    [Buffer.from('<html>'), 'manifest', /not JSON/],
    [json({ schemaVersion: 1 }), 'not-an-image', /schema 1/],
    [json({ schemaVersion: 2 }), 'manifest', /malformed/],
    [Buffer.alloc(0), 'manifest', /not JSON/],
  ]
  for (const [bytes, code, message] of answers) {
    await using server = await serve(registryOf({ 1: bytes }))
    const { source, context, retries } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code, message })
    assert.equal(retries().length, 0)
  }
})

test('every event is free of credentials and nothing but debug and retry is emitted', async () => {
  const image = testImage()
  const genuine = registryOf({ 1: image.manifest }, image)
  await using storage = await serve((_, response) => void response.end(image.layer))
  await using server = await serve((request, response) => {
    const location = storage.origin.replace('//', '//user:secret@').concat('/key?X-Amz-Signature=secret')
    if (request.url?.includes('/blobs/')) response.writeHead(307, { location }).end()
    else genuine(request, response)
  })
  const { source, context, events } = reading(server.host)
  await source.manifest(amd64, context)
  await collect(source, image.layerDescriptor, context)
  assert.ok(events.length > 0)
  assert.doesNotMatch(JSON.stringify(events), /secret/)
  assert.ok(events.every(({ type }) => type === 'debug'))
})
