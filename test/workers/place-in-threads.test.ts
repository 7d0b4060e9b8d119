import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { objectPath } from '../../src/store/object.ts'
import type { FileToPlace } from '../../src/store/place-files.ts'
import { placeInThreads } from '../../src/workers/place-in-threads.ts'
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
