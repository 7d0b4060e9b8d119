import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Digest } from '../../../src/image/digest.ts'
import { namedImage } from '../../../src/operations/lookup/named-image.ts'
import { writeImageIndex } from '../../../src/store/image-index.ts'
import { assembleImage } from '../../lab/image.ts'
import { scratch } from '../../store/scratch.ts'
import { contextIn, countedSource } from '../image-source.ts'

const digest = (digits: string): Digest => `sha256:${digits.padEnd(64, '0')}`

/** What words mean in a store of images that have these names. */
function meaning(words: string, images: readonly (readonly string[])[]): string | undefined {
  using place = scratch()
  const context = contextIn(place.path, countedSource(assembleImage([])))
  const records = images.map((names, index) => ({
    manifest: digest(`a${index}`),
    id: digest(`abc${index}`),
    names,
    diffIds: [],
    transferSize: 0,
    treeSize: 0,
    pulled: 0,
    origins: [],
    accepted: [],
  }))
  writeImageIndex(context.paths.store, records)
  const { record, name } = namedImage(words, context)
  return name ?? record.id.slice(7, 11)
}

const etcd = 'registry.example/team/etcd:3.5'

for (const [words, images, expected] of [
  ['etcd:3.5', [[etcd]], etcd],
  ['etcd', [[etcd]], etcd],
  ['team/etcd', [['other/flannel:1'], [etcd]], etcd],
  ['etcd', [[etcd], ['docker.io/library/etcd:latest']], 'docker.io/library/etcd:latest'],
  ['etcd', [[etcd], ['registry.example/etcd:latest']], 'registry.example/etcd:latest'],
  ['etcd:3.5', [['registry.example/etcd:3.4', etcd]], etcd],
  [`etcd@${digest('a1')}`, [['registry.example/etcd:3.4'], [etcd]], etcd],
  ['abc0', [[etcd]], 'abc0'],
  ['abc0', [['registry.example/abc0:latest']], 'registry.example/abc0:latest'],
] as const) {
  test(`'${words}' is ${expected} among ${JSON.stringify(images)}`, () => {
    assert.equal(meaning(words, images), expected)
  })
}

for (const [words, images] of [
  ['tcd', [[etcd]]],
  ['etcd:3.6', [[etcd]]],
  ['registry.example/etcd', [[etcd]]],
  ['localhost/etcd', [[etcd]]],
] as const) {
  test(`'${words}' is none among ${JSON.stringify(images)}`, () => {
    assert.throws(() => meaning(words, images), { code: 'image-not-found', message: /^there is no image/ })
  })
}

test('words that several images end in are refused, and all are told', () => {
  const message = "'etcd' may be registry.example/team/etcd:3.5, quay.example/etcd:3.6"
  assert.throws(() => meaning('etcd', [[etcd], ['quay.example/etcd:3.6']]), { code: 'image-not-found', message })
  assert.throws(() => meaning('abc', [[etcd], []]), {
    code: 'image-not-found',
    message: /beginning of the ids of 2 images/,
  })
})

test('a name as it was given is found whatever its place is called, and before what the words would name now', () => {
  using place = scratch()
  const context = contextIn(place.path, countedSource(assembleImage([])))
  const sizes = { diffIds: [], transferSize: 0, treeSize: 0, pulled: 0, origins: [], accepted: [] }
  const given = 'quay.io/team/tools:latest'
  writeImageIndex(context.paths.store, [
    { ...sizes, manifest: digest('a0'), id: digest('b0'), names: ['docker.io/library/box:latest'] },
    { ...sizes, manifest: digest('a1'), id: digest('b1'), names: [given], spellings: { [given]: ['box'] } },
  ])
  const meant = (words: string) => namedImage(words, context)
  assert.deepEqual([meant('box').name, meant('box').spelling], [given, 'box'])
  assert.equal(meant('box:latest').name, given)
  assert.equal(meant('docker.io/library/box').name, 'docker.io/library/box:latest')
  assert.equal(meant('tools').name, given)
})
