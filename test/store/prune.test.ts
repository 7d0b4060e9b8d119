import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Digest, digestOf } from '../../src/image/digest.ts'
import { blobPath, writeBlob, writeImageIndex } from '../../src/store/image-index.ts'
import { writeLayerTree } from '../../src/store/layer-tree.ts'
import { objectPath } from '../../src/store/object.ts'
import { pruneStore } from '../../src/store/prune.ts'
import { encodedTree } from '../lab/collecting-writer.ts'
import { scratch } from './scratch.ts'

const layer = Buffer.from('a layer as it was transferred')
const configuration = Buffer.from('{}')
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', configuration),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  }),
)

test('blobs that were kept of an image stay as long as the image does', () => {
  using folder = scratch()
  const store = folder.path
  const stray = Buffer.from('of no image')
  for (const bytes of [layer, configuration, manifest, stray]) writeBlob(store, digestOf(bytes), bytes)
  enter(store)
  assert.ok(pruneStore(store) > 0)
  assert.deepEqual(
    [layer, configuration, manifest, stray].map((bytes) => existsSync(blobPath(store, digestOf(bytes)))),
    [true, true, true, false],
  )
  writeImageIndex(store, [])
  pruneStore(store)
  assert.equal(existsSync(blobPath(store, digestOf(layer))), false)
})

test('a lost manifest does not stop pruning', () => {
  using folder = scratch()
  const store = folder.path
  writeBlob(store, digestOf(layer), layer)
  enter(store)
  assert.ok(pruneStore(store) > 0)
})

test('while a tree that an image needs is damaged, all objects stay', () => {
  using folder = scratch()
  const store = folder.path
  const diffId = digestOf(layer)
  const object = 'ab'.repeat(32)
  mkdirSync(join(store, 'objects/ab'), { recursive: true })
  writeFileSync(objectPath(store, object), 'x')
  enter(store, [diffId])
  pruneStore(store)
  assert.ok(existsSync(objectPath(store, object)))
  writeLayerTree(store, diffId, encodedTree([]))
  assert.ok(pruneStore(store) > 0)
  assert.equal(existsSync(objectPath(store, object)), false)
})

function descriptor(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

function enter(store: string, diffIds: Digest[] = []): void {
  const sizes = { transferSize: 0, treeSize: 0, pulled: 0, origins: [], accepted: [] }
  const digests = { manifest: digestOf(manifest), id: digestOf(configuration), diffIds }
  writeImageIndex(store, [{ ...digests, ...sizes, names: ['registry.example/app:1'] }])
}
