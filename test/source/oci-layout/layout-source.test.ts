import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { ociLayoutSource } from '../../../src/source/oci-layout/layout-source.ts'
import { assembleImage, type LabImage, writeLayout } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { context, folder, here, readBlob, readWhole, refused } from '../reading-files.ts'

const layer = await packLayer({ which: 'one' })
const image = assembleImage([layer])

async function layout(t: TestContext, { tag = '3.5', of = image } = {}): Promise<string> {
  const path = join(folder(t), 'etcd')
  await writeLayout(of, path, { tag })
  return path
}

function open(path: string, name?: string) {
  return ociLayoutSource({ transport: 'oci', path, image: name })
}

function blobPath(path: string, digest: string): string {
  return join(path, 'blobs', digest.replace(':', '/'))
}

function entry(of: LabImage, more: object = {}, name?: string) {
  const size = of.manifests.at(-1)?.bytes.length
  const annotations = name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } }
  return { mediaType: of.mediaType, digest: of.digest, size, ...annotations, ...more }
}

function writeIndex(path: string, ...manifests: object[]): void {
  writeFileSync(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
}

async function second(path: string): Promise<LabImage> {
  const other = assembleImage([await packLayer({ which: 'two' })])
  await writeLayout(other, path)
  return other
}

test('an image is read by its name, by its number, or as the only one', async (t) => {
  const path = await layout(t)
  for (const name of ['3.5', '@0', undefined]) {
    const { reference, digest, indexes } = await readWhole(open(path, name))
    assert.equal(digest, image.digest)
    assert.equal(reference, 'localhost/etcd:3.5')
    assert.deepEqual(indexes, [])
  }
})

test('a blob is read from any byte on', async (t) => {
  const source = open(await layout(t))
  const { manifest } = await source.manifest(here, context)
  const [descriptor] = manifest.layers
  assert.ok(descriptor)
  assert.deepEqual(await readBlob(source, descriptor, { offset: 7 }), layer.bytes.subarray(7))
  assert.equal(source.forwardOrder?.(manifest.layers), undefined)
})

test('names that say a registry are stored as they are, others below localhost', async (t) => {
  const names: [string, string][] = [
    ['quay.io/coreos/etcd:3.5', 'quay.io/coreos/etcd:3.5'],
    ['docker.io/library/etcd', 'docker.io/library/etcd:latest'],
    ['etcd:3.5', 'localhost/etcd:3.5'],
    ['coreos/etcd:3.5', 'localhost/coreos/etcd:3.5'],
    ['3.5+build', 'localhost/etcd:3.5-build'],
    ['Ünsinn', 'localhost/etcd:nsinn'],
  ]
  for (const [name, stored] of names) {
    assert.equal((await readWhole(open(await layout(t, { tag: name })))).reference, stored)
  }
})

test('the name that containerd and Docker annotate is stored, and asked for', async (t) => {
  const path = await layout(t)
  const annotations = {
    'io.containerd.image.name': 'docker.io/library/etcd:3.5',
    'org.opencontainers.image.ref.name': '3.5',
  }
  writeIndex(path, entry(image, { annotations }))
  for (const name of [undefined, '3.5', 'docker.io/library/etcd:3.5']) {
    assert.equal((await readWhole(open(path, name))).reference, 'docker.io/library/etcd:3.5')
  }
})

test('of several images one has to be named; the error names them', async (t) => {
  const path = await layout(t)
  const other = await second(path)
  writeIndex(path, entry(image, {}, 'a'), entry(other, {}, 'b'), entry(other))
  const error = await refused(readWhole(open(path)), { code: 'image-not-found', message: /2 images: a, b, @2/, path })
  assert.match(error.hint ?? '', /oci:.*:a$/)
  assert.equal((await readWhole(open(path, 'b'))).digest, other.digest)
  assert.equal((await readWhole(open(path, '@2'))).digest, other.digest)
  const missing = await refused(readWhole(open(path, 'c')), { code: 'image-not-found', message: /no image 'c'/, path })
  assert.match(missing.hint ?? '', /a, b, @2/)
  await refused(readWhole(open(path, '@3')), { code: 'image-not-found', message: /no image '@3'/, path })
})

test('of nested indexes, and of an index.json that is one, the image for the platform is taken', async (t) => {
  const platforms = ['linux/s390x', `linux/${here.architecture}`]
  const many = assembleImage([layer], { platforms })
  const path = await layout(t, { of: many })
  const { indexes, digest } = await readWhole(open(path))
  assert.deepEqual(
    indexes.map((index) => index.digest),
    [many.digest],
  )
  assert.equal(digest, many.manifests[1]?.digest)

  const flat = JSON.parse(many.manifests.at(-1)?.bytes.toString() ?? '')
  writeIndex(path, ...flat.manifests)
  const found = await readWhole(open(path))
  assert.equal(found.digest, digest)
  assert.deepEqual(found.indexes, [])
  await refused(readWhole(open(path), { os: 'linux', architecture: 'riscv64' }), {
    code: 'platform',
    message: /s390x/,
    path,
  })
})

test('embedded data stands for a blob that is not there', async (t) => {
  const path = await layout(t)
  const [manifest] = image.manifests
  assert.ok(manifest)
  rmSync(blobPath(path, manifest.digest))
  writeIndex(path, entry(image, { data: manifest.bytes.toString('base64') }))
  assert.equal((await readWhole(open(path))).digest, image.digest)
})

test('digests of SHA-512 are read from their own folder', async (t) => {
  const path = await layout(t)
  const bytes = image.manifests[0]?.bytes ?? Buffer.alloc(0)
  const digest = digestOf(bytes, 'sha512:')
  mkdirSync(join(path, 'blobs/sha512'))
  renameSync(blobPath(path, image.digest), blobPath(path, digest))
  writeIndex(path, entry(image, { digest }))
  const resolved = await open(path).manifest(here, context)
  assert.equal(resolved.digest, digest)
})

test('what is no layout is refused, with what it may be', async (t) => {
  const path = folder(t)
  const missing = join(path, 'missing')
  await refused(readWhole(open(missing)), { code: 'archive', message: /does not exist/, path: missing })
  await refused(readWhole(open(path)), { code: 'archive', message: /lacks the file oci-layout/, path })
  const file = join(path, 'file.tar')
  writeFileSync(file, 'x')
  const error = await refused(readWhole(open(file)), { code: 'archive', message: /is no folder/, path: file })
  assert.match(error.hint ?? '', /oci-archive/)
  writeFileSync(join(path, 'manifest.json'), '{}')
  writeFileSync(join(path, 'version'), 'Directory Transport Version: 1.1\n')
  assert.match((await refused(readWhole(open(path)), { code: 'archive', message: /./ })).hint ?? '', /dir:DIR/)
})

type Fault = [
  name: string,
  code: 'archive' | 'manifest' | 'digest' | 'limit' | 'not-an-image' | 'image-not-found',
  message: RegExp,
  spoil: (path: string) => void,
]

const blob = layer.bytes
const layerPath = (path: string) => blobPath(path, digestOf(blob))
const manifestPath = (path: string) => blobPath(path, image.digest)

const faults: Fault[] = [
  ['a layer that is not there', 'archive', /lacks sha256:/, (path) => rmSync(layerPath(path))],
  ['a manifest that is not there', 'archive', /lacks the manifest/, (path) => rmSync(manifestPath(path))],
  ['a layer that is cut short', 'digest', /has 5 bytes where/, (path) => truncateSync(layerPath(path), 5)],
  ['a manifest that is cut short', 'digest', /where its index says/, (path) => truncateSync(manifestPath(path), 5)],
  [
    'a manifest of other bytes',
    'digest',
    /not sha256/,
    (path) => writeFileSync(manifestPath(path), Buffer.alloc(image.manifests[0]?.bytes.length ?? 0, ' ')),
  ],
  [
    'a layer that is a link to a file outside',
    'archive',
    /symbolic link/,
    (path) => {
      rmSync(layerPath(path))
      symlinkSync('/etc/hostname', layerPath(path))
    },
  ],
  [
    'a folder of blobs that is a link',
    'archive',
    /symbolic link/,
    (path) => {
      renameSync(join(path, 'blobs'), join(path, 'x'))
      symlinkSync('x', join(path, 'blobs'))
    },
  ],
  [
    'an index.json that is a link',
    'archive',
    /symbolic link/,
    (path) => {
      renameSync(join(path, 'index.json'), join(path, 'x'))
      symlinkSync('x', join(path, 'index.json'))
    },
  ],
  [
    'a layer that is a folder',
    'archive',
    /no regular file/,
    (path) => {
      rmSync(layerPath(path))
      mkdirSync(layerPath(path))
    },
  ],
  [
    'a layer that is a pipe',
    'archive',
    /no regular file/,
    (path) => {
      rmSync(layerPath(path))
      execFileSync('mkfifo', [layerPath(path)])
    },
  ],
  [
    'a folder of blobs that is a file',
    'archive',
    /no folder/,
    (path) => {
      rmSync(join(path, 'blobs'), { recursive: true })
      writeFileSync(join(path, 'blobs'), '')
    },
  ],
  ['no index.json', 'archive', /without index.json/, (path) => rmSync(join(path, 'index.json'))],
  ['an index.json of garbage', 'manifest', /not JSON/, (path) => writeFileSync(join(path, 'index.json'), '\0\0')],
  [
    'an index.json that is a manifest',
    'archive',
    /no index/,
    (path) => writeFileSync(join(path, 'index.json'), readFileSync(manifestPath(path))),
  ],
  [
    'an index.json of a gigabyte',
    'limit',
    /1073741824 bytes/,
    (path) => truncateSync(join(path, 'index.json'), 2 ** 30),
  ],
  ['an index.json without images', 'image-not-found', /no image/, (path) => writeIndex(path)],
  [
    'a newer version',
    'archive',
    /version '2.0.0'/,
    (path) => writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}'),
  ],
  ['an empty oci-layout', 'manifest', /oci-layout is not JSON/, (path) => writeFileSync(join(path, 'oci-layout'), '')],
]

for (const [name, code, message, spoil] of faults) {
  test(`${name} is one error that names the layout`, async (t) => {
    const path = await layout(t)
    spoil(path)
    await refused(readWhole(open(path)), { code, message, path })
  })
}
