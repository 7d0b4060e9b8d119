import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Digest } from '../../src/image/digest.ts'
import type { ImageRecord } from '../../src/store/image-index.ts'
import { nameImage, spelledName, spellingsOf, withoutName } from '../../src/store/image-names.ts'

const full = 'docker.io/library/busybox:latest'
const [first, second] = ['a', 'b'].map((digit): Digest => `sha256:${digit.repeat(64)}`) as [Digest, Digest]

function record(manifest: Digest, names: readonly string[] = []): ImageRecord {
  const rest = { diffIds: [], transferSize: 0, treeSize: 0, pulled: 0, origins: [], accepted: [] }
  return { manifest, id: manifest, names, ...rest }
}

function written(index: readonly ImageRecord[]): Record<string, readonly string[]>[] {
  return index.map((each) => Object.fromEntries(each.names.map((name) => [name, spellingsOf(each, name)])))
}

test('a name that nobody is known to have written is written in full', () => {
  assert.deepEqual(written([record(first, [full])]), [{ [full]: ['docker.io/library/busybox'] }])
})

test('a name that is given in two ways goes with the second', () => {
  let index = nameImage([record(first)], first, { name: full, spelling: 'busybox' })
  index = nameImage(index, first, { name: full, spelling: 'docker.io/library/busybox' })
  assert.deepEqual(written(index), [{ [full]: ['busybox', 'docker.io/library/busybox'] }])
  const once = withoutName(index[0] as ImageRecord, full, 'busybox')
  assert.deepEqual(written([once]), [{ [full]: ['docker.io/library/busybox'] }])
  assert.deepEqual(withoutName(once, full, 'docker.io/library/busybox').names, [])
  assert.deepEqual(withoutName(index[0] as ImageRecord, full).names, [])
})

test('a name that moves to another image keeps the way in which it was given', () => {
  const index = nameImage([record(first), record(second)], first, { name: full, spelling: 'busybox' })
  const moved = nameImage(index, second, { name: full, spelling: undefined })
  assert.deepEqual(written(moved), [{}, { [full]: ['busybox'] }])
})

test('a short name that means another place now means the former one no longer', () => {
  const other = 'quay.io/team/busybox:latest'
  const index = nameImage([record(first), record(second)], first, { name: full, spelling: 'busybox' })
  assert.deepEqual(written(nameImage(index, second, { name: other, spelling: 'busybox' })), [
    { [full]: ['docker.io/library/busybox'] },
    { [other]: ['busybox'] },
  ])
  const tagged = nameImage(index, second, { name: 'quay.io/team/busybox:2', spelling: 'busybox' })
  assert.deepEqual(written(tagged)[0], { [full]: ['busybox'] })
})

test('tag and digest are those of the full name', () => {
  assert.equal(spelledName(full, 'busybox'), 'busybox:latest')
  assert.equal(spelledName(`quay.io/a/b:1@${first}`, 'b'), `b:1@${first}`)
})
