import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountsWithin } from '../../src/host/mounts.ts'
import { removeTree } from '../../src/host/remove-tree.ts'
import { scratch } from '../store/scratch.ts'

/** A tree with a file system, or another folder, mounted in it. */
function mountedTree(words: (folder: string) => string[]): { path: string; precious: string } & Disposable {
  const folder = scratch()
  const path = join(folder.path, 'tree with a blank')
  const point = join(path, 'deep', 'mount point')
  mkdirSync(point, { recursive: true })
  mkdirSync(join(folder.path, 'outside'))
  writeFileSync(join(path, 'file'), '')
  execFileSync('mount', [...words(join(folder.path, 'outside')), point])
  const precious = join(point, 'precious')
  writeFileSync(precious, 'data')
  return {
    path,
    precious,
    [Symbol.dispose]() {
      execFileSync('umount', [point])
      folder[Symbol.dispose]()
    },
  }
}

test('a tree, a file and a link go; what a link leads to stays', async () => {
  using folder = scratch()
  const tree = join(folder.path, 'tree')
  mkdirSync(join(tree, 'a', 'b'), { recursive: true })
  mkdirSync(join(folder.path, 'other'))
  writeFileSync(join(folder.path, 'other', 'file'), '')
  symlinkSync('../other', join(tree, 'link'))
  assert.equal(await removeTree(tree), undefined)
  assert.equal(existsSync(tree), false)
  assert.equal(existsSync(join(folder.path, 'other', 'file')), true)
  assert.equal(await removeTree(join(folder.path, 'other', 'file')), undefined)
  assert.equal(await removeTree(join(folder.path, 'none')), undefined)
})

test('a tree deeper than a path can be long goes', async () => {
  using folder = scratch()
  const tree = join(folder.path, 'tree')
  mkdirSync(tree)
  const name = 'd'.repeat(250)
  const script = `cd '${tree}' && for i in $(seq 40); do mkdir ${name} && cd -P ${name} || exit 1; done`
  execFileSync('bash', ['-c', script])
  assert.equal(await removeTree(tree), undefined)
  assert.equal(existsSync(tree), false)
})

test('a file system that is mounted in it keeps the whole, and is named', async () => {
  using tree = mountedTree(() => ['-t', 'tmpfs', 'forerun-test'])
  assert.match(
    (await removeTree(tree.path)) ?? '',
    /^stays: '.*\/tree with a blank\/deep\/mount point' is mounted in it$/,
  )
  assert.equal(readFileSync(tree.precious, 'utf8'), 'data')
  assert.equal(existsSync(join(tree.path, 'file')), true)
})

test('so does another folder of the same file system', async () => {
  using tree = mountedTree((outside) => ['--bind', outside])
  assert.match((await removeTree(tree.path)) ?? '', /is mounted in it$/)
  assert.equal(readFileSync(tree.precious, 'utf8'), 'data')
})

test('mount points are found at a path and below, and not beside it', () => {
  using tree = mountedTree(() => ['-t', 'tmpfs', 'forerun-test'])
  const point = join(tree.path, 'deep', 'mount point')
  assert.deepEqual(mountsWithin(tree.path), [point])
  assert.deepEqual(mountsWithin(point), [point])
  assert.deepEqual(mountsWithin(join(tree.path, 'dee')), [])
})
