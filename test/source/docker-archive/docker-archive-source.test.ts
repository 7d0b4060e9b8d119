import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { ErrorCode } from '../../../src/errors.ts'
import { dockerArchiveSource } from '../../../src/source/docker-archive/docker-archive-source.ts'
import { type Compression, type LayerFile, packLayer, sha256 } from '../../lab/layer.ts'
import { archive, layoutFiles } from '../archives.ts'
import { context, here, readBlob, readWhole, refused } from '../reading-files.ts'
import { savedFiles } from './saved.ts'

const base = await packLayer({ a: 'one' }, { compression: 'none' })
const top = await packLayer({ b: 'b'.repeat(100_000) }, { compression: 'none' })
const saved = savedFiles([base, top], { names: ['etcd:3.5', 'quay.io/coreos/etcd:3.5'] })

function open(path: string, image?: string) {
  return dockerArchiveSource({ path, image })
}

const compressions: readonly Compression[] = ['none', 'gzip', 'zstd']

test('an image has its diff ids for digests, and the same manifest however it is packed', async (t) => {
  const digests = new Set<string>()
  for (const compression of compressions) {
    for (const files of [saved, Object.fromEntries(Object.entries(saved).toReversed())]) {
      const { manifest, digest, reference } = await readWhole(open(await archive(t, files, { compression })))
      assert.deepEqual(
        manifest.layers.map((layer) => [layer.digest, layer.size]),
        [base, top].map(({ diffId, bytes }) => [diffId, bytes.length]),
      )
      assert.equal(reference, 'docker.io/library/etcd:3.5')
      digests.add(digest)
    }
  }
  assert.equal(digests.size, 1)
})

test('a layer is read from any byte on', async (t) => {
  for (const compression of compressions) {
    const source = open(await archive(t, saved, { compression }))
    const { manifest } = await source.manifest(here, context)
    const [, descriptor] = manifest.layers
    assert.ok(descriptor)
    assert.deepEqual(await readBlob(source, descriptor, { offset: 1000 }), top.bytes.subarray(1000))
    await source[Symbol.asyncDispose]()
  }
})

test('an image is asked for by any of its names, completed, or by its number', async (t) => {
  const other = savedFiles([base], { names: ['b:1'], folder: 'other/' })
  const manifests = [saved, other].flatMap((files) => JSON.parse(String(files['manifest.json'])))
  const path = await archive(t, { ...saved, ...other, 'manifest.json': JSON.stringify(manifests) })
  const asked: [string, string][] = [
    ['etcd:3.5', 'docker.io/library/etcd:3.5'],
    ['docker.io/library/etcd:3.5', 'docker.io/library/etcd:3.5'],
    ['quay.io/coreos/etcd:3.5', 'quay.io/coreos/etcd:3.5'],
    ['@0', 'docker.io/library/etcd:3.5'],
    ['@1', 'docker.io/library/b:1'],
    ['b:1', 'docker.io/library/b:1'],
  ]
  for (const [name, stored] of asked) assert.equal((await readWhole(open(path, name))).reference, stored)
  const error = await refused(readWhole(open(path)), {
    code: 'image-not-found',
    message: /2 images: .*etcd.*b:1/,
    path,
  })
  assert.match(error.hint ?? '', /docker-archive:.*:docker.io\/library\/etcd:3.5/)
  for (const name of ['c', '@2', 'b', 'Not a name']) {
    const missing = await refused(readWhole(open(path, name)), {
      code: 'image-not-found',
      message: /holds no image/,
      path,
    })
    assert.match(missing.hint ?? '', /etcd:3.5/)
  }
})

test('an image without a name is stored under that of its archive', async (t) => {
  const path = await archive(t, savedFiles([base], { names: null }), { name: 'My_Etcd.tar' })
  assert.equal((await readWhole(open(path))).reference, 'localhost/my_etcd:latest')
})

test('layers that are links to others, as of Docker up to 24, are read as those', async (t) => {
  const files = savedFiles([base, top, base], { names: ['a'] })
  const [first, , third] = JSON.parse(String(files['manifest.json']))[0].Layers as string[]
  for (const target of [`../${first}`, `./../${first}`]) {
    for (const compression of compressions) {
      const path = await archive(t, { ...files, [third ?? '']: { target } }, { compression })
      assert.equal((await readWhole(open(path))).manifest.layers.length, 3)
    }
  }
  await readWhole(open(await archive(t, { ...files, [third ?? '']: { type: 'link', target: first ?? '' } })))
})

test('compressed layers have the digest that names them, or that of their bytes', async (t) => {
  const bytes = gzipSync(base.bytes)
  const names = ['layer.tar.gz', `blobs/sha256/${sha256(bytes).slice(7)}`]
  for (const name of names) {
    for (const compression of compressions) {
      const files = { ...savedFiles([base], { names: ['a'], layerName: () => name }), [name]: bytes }
      const { manifest } = await readWhole(open(await archive(t, files, { compression })))
      assert.equal(manifest.layers[0]?.digest, sha256(bytes))
      assert.equal(manifest.layers[0]?.mediaType, 'application/vnd.docker.image.rootfs.diff.tar.gzip')
    }
  }
})

test('an image without layers is one', async (t) => {
  const files = savedFiles([], { names: ['a'] })
  const [entry] = JSON.parse(String(files['manifest.json']))
  const path = await archive(t, { ...files, 'manifest.json': JSON.stringify([{ ...entry, Layers: null }]) })
  assert.deepEqual((await readWhole(open(path))).manifest.layers, [])
})

const entry = JSON.parse(String(saved['manifest.json']))[0] as { Config: string; Layers: string[] }
const image = { ...entry, RepoTags: null }
const list = (value: unknown) => JSON.stringify([value])

const faults: [name: string, code: ErrorCode, message: RegExp, files: Record<string, LayerFile>][] = [
  ['an archive without manifest.json', 'archive', /lacks manifest.json/, { hello: 'x' }],
  ['an archive of Docker before 1.10', 'archive', /before 1.10/, { repositories: '{}', 'abc/json': '{}' }],
  ['a manifest.json of garbage', 'manifest', /not JSON/, { ...saved, 'manifest.json': 'hello' }],
  ['a manifest.json of another shape', 'manifest', /malformed/, { ...saved, 'manifest.json': '{}' }],
  ['a manifest.json without images', 'image-not-found', /no image/, { ...saved, 'manifest.json': '[]' }],
  [
    'a manifest.json of five megabytes',
    'limit',
    /5000000/,
    { ...saved, 'manifest.json': Buffer.alloc(5_000_000, '[') },
  ],
  [
    'a missing configuration',
    'archive',
    /lacks x.json/,
    { ...saved, 'manifest.json': list({ ...image, Config: 'x.json' }) },
  ],
  [
    'a missing layer',
    'archive',
    /lacks x.tar, a layer/,
    { ...saved, 'manifest.json': list({ ...image, Layers: ['x.tar', 'y.tar'] }) },
  ],
  [
    'a layer too few',
    'manifest',
    /1 layers where the configuration has 2/,
    { ...saved, 'manifest.json': list({ ...image, Layers: entry.Layers.slice(1) }) },
  ],
  [
    'a configuration of another digest',
    'digest',
    /configuration is sha256/,
    { ...saved, [entry.Config]: '{"rootfs":{}}' },
  ],
  [
    'a configuration outside',
    'archive',
    /lacks \.\.\/\.\.\/etc\/passwd/,
    { ...saved, 'manifest.json': list({ ...image, Config: '../../etc/passwd' }) },
  ],
  [
    'a layer that is a folder',
    'archive',
    /no regular file/,
    { ...saved, [entry.Layers[0] ?? '']: { type: 'directory' } },
  ],
]

for (const [name, code, message, files] of faults) {
  test(`${name} is one error that names the archive`, async (t) => {
    for (const compression of compressions) {
      const path = await archive(t, files, { compression })
      await refused(readWhole(open(path)), { code, message, path })
    }
  })
}

test('an OCI layout’s archive is told to be one', async (t) => {
  const error = await refused(readWhole(open(await archive(t, layoutFiles()))), {
    code: 'archive',
    message: /manifest.json/,
  })
  assert.match(error.hint ?? '', /oci-archive:FILE/)
})
