import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../src/image/digest.ts'
import { parseManifest } from '../../src/image/manifest.ts'

const digest = `sha256:${'0a'.repeat(32)}`
const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 7 }
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 32 }
const image = { schemaVersion: 2, mediaType: ociManifest, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: ociIndex,
  manifests: [{ mediaType: ociManifest, digest, size: 1, platform: { os: 'linux', architecture: 'arm64' } }],
}

function parse(document: unknown, contentType?: string) {
  return parseManifest(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)), contentType)
}

test('an OCI manifest and a Docker schema 2 manifest are read alike', () => {
  assert.deepEqual(parse(image), {
    kind: 'manifest',
    manifest: { mediaType: ociManifest, config, layers: [layer], annotations: {} },
  })
  const docker = parse({
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: { ...config, mediaType: 'application/vnd.docker.container.image.v1+json' },
    layers: [{ ...layer, mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' }],
  })
  assert.equal(docker.kind, 'manifest')
})

test('an OCI index and a Docker manifest list are read alike', () => {
  for (const mediaType of [ociIndex, 'application/vnd.docker.distribution.manifest.list.v2+json']) {
    const parsed = parse({ ...index, mediaType })
    assert.ok(parsed.kind === 'index')
    assert.deepEqual(parsed.index.manifests, index.manifests)
    assert.equal(parsed.index.mediaType, mediaType)
  }
})

test('a document without mediaType is known by the header, or else by its members', () => {
  const { mediaType: _, ...untypedImage } = image
  const { mediaType: __, ...untypedIndex } = index
  assert.equal(parse(untypedImage).kind, 'manifest')
  assert.equal(parse(untypedIndex).kind, 'index')
  assert.equal(parse(untypedIndex, 'text/plain; charset=utf-8').kind, 'index')
  assert.equal(parse(untypedIndex, `${ociIndex}; charset=utf-8`).kind, 'index')
  assert.throws(() => parse(untypedIndex, ociManifest), { code: 'manifest' })
})

test('members that are null count as absent', () => {
  const parsed = parse({ ...image, layers: null, annotations: null, config: { ...config, platform: null } })
  assert.ok(parsed.kind === 'manifest')
  assert.deepEqual(parsed.manifest.layers, [])
  assert.deepEqual(parsed.manifest.config, config)
})

test('a malformed manifest is refused, naming the member', () => {
  const documents: [unknown, RegExp][] = [
    ['', /not JSON/],
    ['<html>', /not JSON/],
    ['null', /malformed/],
    ['[]', /malformed/],
    ['{}', /schemaVersion/],
    [{ ...image, schemaVersion: 3 }, /schemaVersion/],
    [{ ...image, schemaVersion: '2' }, /schemaVersion/],
    [{ ...image, config: undefined }, /config/],
    [{ ...image, layers: undefined }, /layers/],
    [{ ...image, layers: {} }, /layers/],
    [{ ...image, layers: [layer, { ...layer, size: -1 }] }, /layers\[1\]\.size: negative/],
    [{ ...image, layers: [{ ...layer, size: 1.5 }] }, /size/],
    [{ ...image, layers: [{ ...layer, size: 2 ** 60 }] }, /size/],
    [{ ...image, layers: [{ ...layer, size: '1' }] }, /size/],
    [{ ...image, config: { ...config, digest: 'sha256:../../etc' } }, /config\.digest: not a sha256/],
    [{ ...image, config: { ...config, digest: `md5:${'a'.repeat(32)}` } }, /config\.digest/],
    [{ ...image, layers: [{ ...layer, mediaType: '' }] }, /mediaType/],
    [{ ...image, annotations: { a: 1 } }, /annotations/],
    [{ ...index, manifests: 'x' }, /manifests/],
  ]
  for (const [document, message] of documents) {
    assert.throws(() => parse(document), { code: 'manifest', message, hint: /./ }, JSON.stringify(document))
  }
  assert.throws(() => parseManifest(Buffer.from([0x22, 0xff, 0x22])), { code: 'manifest', message: /not JSON/ })
})

test('a document that another reader could take for another format is refused', () => {
  const foreign: [object, Record<string, unknown>, string][] = [
    [index, { config }, 'config'],
    [index, { layers: [] }, 'layers'],
    [index, { fsLayers: [] }, 'fsLayers'],
    [index, { history: [] }, 'history'],
    [index, { Manifests: [] }, 'Manifests'],
    [image, { manifests: [] }, 'manifests'],
    [image, { fsLayers: [] }, 'fsLayers'],
    [image, { history: [] }, 'history'],
    [image, { FSLAYERS: [] }, 'FSLAYERS'],
    [image, { Layers: [layer] }, 'Layers'],
    // Go takes the long s for an s.
    [image, { 'layer\u017f': [layer] }, 'layer\u017f'],
  ]
  for (const [document, members, name] of foreign) {
    assert.throws(() => parse({ ...document, ...members }), {
      code: 'manifest',
      message: `the manifest is ambiguous: ${'manifests' in document ? 'an index' : 'an image'} has no member '${name}'`,
    })
  }
  assert.equal(parse({ ...image, manifests: null, fsLayers: null }).kind, 'manifest')
  assert.equal(parse({ ...index, config: null, layers: null }).kind, 'index')
})

test('an entry of an index that breaks the specification leaves the others readable', () => {
  const [sound] = index.manifests
  const faulty: [unknown, RegExp][] = [
    [{ ...sound, digest: `blake3:${'0a'.repeat(32)}` }, /manifests\[0\]\.digest: not a sha256 or sha512 digest$/],
    [{ ...sound, size: '1' }, /manifests\[0\]\.size: /],
    [{ ...sound, size: undefined }, /manifests\[0\]\.size: /],
    [{ ...sound, annotations: { a: 1 } }, /manifests\[0\]\.annotations\.a: /],
    [{ ...sound, platform: 'linux/arm64' }, /manifests\[0\]\.platform: /],
    [{ ...sound, data: '?' }, /manifests\[0\]\.data: not base64$/],
    [{}, /manifests\[0\]\.digest: /],
    [null, /manifests\[0\]: /],
    ['x', /manifests\[0\]: /],
  ]
  for (const [entry, fault] of faulty) {
    const parsed = parse({ ...index, annotations: { a: 1 }, manifests: [entry, sound] })
    assert.ok(parsed.kind === 'index')
    const [first, second] = parsed.index.manifests
    assert.ok(first !== undefined && 'fault' in first, JSON.stringify(entry))
    assert.match(first.fault, fault)
    assert.deepEqual(second, sound)
  }
})

test('an entry of an index may lack what only its own document has to say', () => {
  const [of, size] = [digest, 1]
  const manifests = [
    { digest: of, size, platform: {}, annotations: { a: null } },
    { digest: of, size, mediaType: null, platform: { os: 'linux', variant: null, 'os.features': null } },
  ]
  const parsed = parse({ ...index, manifests })
  assert.ok(parsed.kind === 'index')
  assert.deepEqual(parsed.index.manifests, [
    { mediaType: '', digest: of, size, platform: { os: '', architecture: '' }, annotations: { a: '' } },
    { mediaType: '', digest: of, size, platform: { os: 'linux', architecture: '' } },
  ])
  assert.deepEqual(parse({ ...index, manifests: null }), {
    kind: 'index',
    index: { mediaType: ociIndex, manifests: [] },
  })
})

test('a blob that is embedded in its descriptor is taken only when it is the one described', () => {
  const bytes = Buffer.from('{"a":1}')
  const data = bytes.toString('base64')
  const described = { ...config, digest: digestOf(bytes), size: bytes.length, data }
  const parsed = parse({ ...image, config: described })
  assert.ok(parsed.kind === 'manifest')
  assert.deepEqual(parsed.manifest.config.data, bytes)
  for (const wrong of [
    { size: 8 },
    { digest },
    { data: `${data}!` },
    { data: Buffer.from('{"a":2}').toString('base64') },
  ]) {
    assert.throws(() => parse({ ...image, config: { ...described, ...wrong } }), {
      code: 'manifest',
      message: /^the manifest is malformed: config.*(?:not base64|data is not what size and digest say)$/,
    })
  }
})

test('schema 1 is refused with a hint', () => {
  const signed = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
  assert.throws(() => parse({ schemaVersion: 1, fsLayers: [] }), { code: 'not-an-image', hint: /Push the image again/ })
  assert.throws(() => parse({ schemaVersion: 1 }, signed), { code: 'not-an-image' })
})

test('an artifact that is no image is named', () => {
  const typed = (mediaType: string) => ({ ...image, config: { ...config, mediaType } })
  const layered = (mediaType: string) => ({ ...image, layers: [{ ...layer, mediaType }] })
  const documents: [unknown, RegExp][] = [
    [typed('application/vnd.cncf.helm.config.v1+json'), /a Helm chart/],
    [layered('application/vnd.in-toto+json'), /an attestation/],
    [layered('application/vnd.dev.cosign.simplesigning.v1+json'), /a signature/],
    [typed('application/vnd.wasm.config.v0+json'), /a WebAssembly module/],
    [typed('application/vnd.docker.plugin.v1+json'), /a Docker plugin/],
    [layered('application/vnd.ollama.image.model'), /a machine-learning model/],
    [layered('application/vnd.oci.image.layer.v1.tar+gzip+encrypted'), /an encrypted image/],
    [typed('application/x.y'), /an artifact of type 'application\/x.y'/],
    [{ ...typed('application/vnd.oci.empty.v1+json'), artifactType: 'application/spdx+json' }, /a bill of materials/],
    [{ schemaVersion: 2, mediaType: 'application/vnd.oci.artifact.manifest.v1+json' }, /an artifact of type/],
  ]
  for (const [document, message] of documents) {
    assert.throws(() => parse(document), { code: 'not-an-image', message, hint: /./ }, String(message))
  }
})
