import assert from 'node:assert/strict'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { reachName } from '../../src/store/long-path.ts'
import { objectPath } from '../../src/store/object.ts'
import type { FileToPlace } from '../../src/store/place-files.ts'
import { placeInThreads } from '../../src/workers/check-out-in-threads.ts'
import { running, scratch } from '../store/scratch.ts'
import { metadata } from '../tree/layers.ts'

/** One object for all files, and where they are to be. */
function sample(folder: string, count: number): { store: string; target: string; files: FileToPlace[] } {
  const store = join(folder, 'store')
  const target = join(folder, 'target')
  const object = 'ab'.repeat(32)
  mkdirSync(join(objectPath(store, object), '..'), { recursive: true })
  mkdirSync(target)
  writeFileSync(objectPath(store, object), 'content')
  const files = Array.from({ length: count }, (_, index) => {
    return { object, path: `${target}/${index}`, metadata, another: false }
  })
  return { store, target, files }
}

for (const count of [0, 1, 99, 1600, 7000]) {
  it(`places ${count} files`, async () => {
    using folder = scratch()
    const { store, target, files } = sample(folder.path, count)
    await using placer = placeInThreads({ store, method: 'hardlink', shared: true }, running())
    for (const file of files) placer.add(file)
    await placer.end()
    assert.equal(readdirSync(target).length, count)
    if (count > 0) assert.equal(statSync(objectPath(store, 'ab'.repeat(32))).nlink, count + 1)
  })
}

it('copies a file of terabytes with its holes, also where its path is longer than a system call takes', async () => {
  using folder = scratch()
  const { store, target, files } = sample(folder.path, 1)
  const object = objectPath(store, 'ab'.repeat(32))
  truncateSync(object, 8 * 1024 ** 4)
  const deep = Array.from({ length: 20 }, () => 'd'.repeat(250))
  let parent = target
  let whole = target
  for (const part of deep) {
    whole += `/${part}`
    using reached = reachName(whole)
    mkdirSync(reached.path)
    parent = whole
  }
  await using placer = placeInThreads({ store, method: 'copy', shared: false }, running())
  for (const file of files) {
    placer.add(file)
    placer.add({ ...file, path: `${parent}/file` })
  }
  await placer.end()
  for (const path of [`${target}/0`, `${parent}/file`]) {
    using reached = reachName(path)
    const { size, blocks } = statSync(reached.path)
    assert.deepEqual([size, blocks < 64], [8 * 1024 ** 4, true])
  }
})

it('ends a copy that takes long when the signal is raised', async () => {
  using folder = scratch()
  const { store, files } = sample(folder.path, 1)
  const object = objectPath(store, 'ab'.repeat(32))
  const fd = openSync(object, 'r+')
  const piece = Buffer.alloc(16 * 1024 * 1024, 'x')
  for (let count = 0; count < 16; count++) writeSync(fd, piece, 0, piece.length, count * piece.length)
  closeSync(fd)
  const interrupt = new AbortController()
  await using placer = placeInThreads({ store, method: 'copy', shared: false }, running(interrupt.signal))
  for (const file of files)
    for (let count = 0; count < 64; count++) placer.add({ ...file, path: `${file.path}-${count}` })
  const placed = placer.end()
  setTimeout(() => interrupt.abort(), 100)
  await assert.rejects(placed, { code: 'interrupted' })
  assert.ok(readdirSync(join(folder.path, 'target')).length < 64)
})

describe('of many files', () => {
  it('throws what one of them could not be placed for, and ends', async () => {
    using folder = scratch()
    const { store, files } = sample(folder.path, 7000)
    await using placer = placeInThreads({ store, method: 'hardlink', shared: true }, running())
    for (const [index, file] of files.entries())
      placer.add(index === 3000 ? { ...file, object: 'cd'.repeat(32) } : file)
    await assert.rejects(placer.end(), { code: 'store', message: /lost the object of '.*\/3000'/ })
  })

  it('ends early when the signal is raised, and when it is disposed of', async () => {
    using folder = scratch()
    const { store, target, files } = sample(folder.path, 7000)
    const interrupt = new AbortController()
    await using placer = placeInThreads({ store, method: 'hardlink', shared: true }, running(interrupt.signal))
    for (const file of files) placer.add(file)
    interrupt.abort()
    await assert.rejects(placer.end(), { code: 'interrupted' })
    assert.ok(readdirSync(target).length < 7000)
    rmSync(target, { recursive: true })
    mkdirSync(target)
    {
      await using left = placeInThreads({ store, method: 'hardlink', shared: true }, running())
      for (const file of files) left.add(file)
    }
    assert.ok(readdirSync(target).length < 7000)
  })
})
