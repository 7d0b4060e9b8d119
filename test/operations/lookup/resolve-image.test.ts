import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveImage } from '../../../src/operations/lookup/resolve-image.ts'
import { descriptor, registryOf, testImage } from '../../source/registry/image.ts'
import { amd64, reading } from '../../source/registry/reading.ts'
import { serve } from '../../source/registry/server.ts'

const accept = async () => {}

test('an image is resolved with its configuration, with the bytes as the source has them', async () => {
  const image = testImage()
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  const resolved = await resolveImage(source, amd64, { context, accept })
  assert.deepEqual(resolved.bytes, image.manifest)
  assert.deepEqual(resolved.configurationBytes, image.configuration)
  assert.deepEqual(resolved.configuration.config.cmd, ['/x'])
})

test('nothing of an image is fetched that is not accepted', async () => {
  const image = testImage()
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  const refused = new Error('not to be believed')
  const refuse = async () => Promise.reject(refused)
  await assert.rejects(resolveImage(source, amd64, { context, accept: refuse }), refused)
  assert.ok(!server.requests.some(({ url }) => url?.includes('blobs')))
})

test('a plain manifest of another platform is refused', async () => {
  const image = testImage({ architecture: 'arm64' })
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  await assert.rejects(resolveImage(source, amd64, { context, accept }), {
    code: 'platform',
    message: /but for linux\/arm64/,
  })
})

test('a configuration that is not what the manifest says is refused', async () => {
  const image = testImage()
  const other = Buffer.from(image.configuration.toString().replace('/x', '/y'))
  const genuine = registryOf({ 1: image.manifest }, image)
  await using server = await serve((request, response) => {
    if (request.url?.includes('/blobs/')) response.end(other)
    else genuine(request, response)
  })
  const { source, context } = reading(server.host)
  await assert.rejects(resolveImage(source, amd64, { context, accept }), {
    code: 'digest',
    message: /configuration is sha256/,
  })
})

test('a configuration with another number of diff ids than layers is refused', async () => {
  const image = testImage({ manifest: { layers: [] } })
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  await assert.rejects(resolveImage(source, amd64, { context, accept }), {
    code: 'manifest',
    message: /1 diff ids for 0 layers/,
  })
})

test('a configuration that is said to be larger than the limit is not fetched', async () => {
  const image = testImage({
    manifest: { config: { ...descriptor('application/json', Buffer.from('x')), size: 2 ** 40 } },
  })
  await using server = await serve(registryOf({ 1: image.manifest }, image))
  const { source, context } = reading(server.host)
  await assert.rejects(resolveImage(source, amd64, { context, accept }), { code: 'limit' })
  assert.ok(!server.requests.some(({ url }) => url?.includes('blobs')))
})
