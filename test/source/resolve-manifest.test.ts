import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Descriptor } from '../../src/image/descriptor.ts'
import { digestOf } from '../../src/image/digest.ts'
import { parseManifest } from '../../src/image/manifest.ts'
import { checkDigest, type ManifestDocument, resolveManifest } from '../../src/source/resolve-manifest.ts'
import { descriptor, indexOf, ociIndex, ociManifest, testImage } from './registry/image.ts'
import { amd64 } from './registry/reading.ts'

/** Reads the first document for the image's name, and the others by their digests. */
function reader(...documents: Buffer[]) {
  const asked: (string | undefined)[] = []
  const read = async (wanted: Descriptor | undefined): Promise<ManifestDocument> => {
    asked.push(wanted?.digest)
    const bytes = documents.find((one) => wanted === undefined || digestOf(one) === wanted.digest)
    assert.ok(bytes !== undefined)
    return { bytes, digest: digestOf(bytes), parsed: parseManifest(bytes) }
  }
  return { read, asked }
}

const image = testImage()
const entry = { ...descriptor(ociManifest, image.manifest), platform: { os: 'linux', architecture: 'amd64' } }

test('a manifest stands for itself', async () => {
  const { read, asked } = reader(image.manifest)
  const resolved = await resolveManifest(read, amd64)
  assert.deepEqual(resolved.indexes, [])
  assert.equal(resolved.digest, digestOf(image.manifest))
  assert.equal(resolved.bytes, image.manifest)
  assert.deepEqual(asked, [undefined])
})

test('indexes are followed to the platform, and each is told of, outermost first', async () => {
  const inner = indexOf(entry)
  const outer = indexOf(descriptor(ociIndex, inner))
  const { read, asked } = reader(outer, inner, image.manifest)
  const resolved = await resolveManifest(read, amd64)
  assert.deepEqual(
    resolved.indexes.map(({ digest }) => digest),
    [digestOf(outer), digestOf(inner)],
  )
  assert.deepEqual(
    resolved.indexes.map(({ bytes }) => bytes),
    [outer, inner],
  )
  assert.deepEqual(asked, [undefined, digestOf(inner), digestOf(image.manifest)])
})

test('indexes that hold indexes are followed four deep, and no deeper', async () => {
  const documents = [image.manifest]
  let mediaType = ociManifest
  for (let depth = 1; depth <= 5; depth += 1) {
    const index = indexOf(descriptor(mediaType, documents[0] as Buffer))
    documents.unshift(index)
    mediaType = ociIndex
    const resolving = resolveManifest(reader(...documents).read, amd64)
    if (depth <= 4) assert.equal((await resolving).indexes.length, depth)
    else await assert.rejects(resolving, { code: 'limit', message: /more than 4 deep/ })
  }
})

test('an index without the platform, and a size that an index states wrongly, are refused', async () => {
  const { read } = reader(indexOf(entry), image.manifest)
  await assert.rejects(resolveManifest(read, { os: 'linux', architecture: 's390x' }), { code: 'platform' })
  const wrong = reader(indexOf({ ...entry, size: 7 }), image.manifest)
  await assert.rejects(resolveManifest(wrong.read, amd64), { code: 'digest', message: /where its index says 7/ })
})

test('a digest is computed by the algorithm of the claim, and compared with it', () => {
  const bytes = Buffer.from('bytes')
  assert.match(checkDigest(bytes, undefined, 'it'), /^sha256:/)
  assert.match(checkDigest(bytes, digestOf(bytes, 'sha512:'), 'it'), /^sha512:/)
  assert.throws(() => checkDigest(bytes, digestOf(Buffer.from('others')), 'it'), {
    code: 'digest',
    message: /^it is sha256:/,
  })
})
