import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { reachFolder } from '../../src/store/long-path.ts'
import { openStaging } from '../../src/store/staging.ts'
import type { LayerEntry, Metadata } from '../../src/tree/entry.ts'
import { mergeLayers } from '../../src/tree/merge.ts'
import { checkOutInThreads } from '../../src/workers/check-out-in-threads.ts'
import { collectingWriter } from '../lab/collecting-writer.ts'
import { readTree } from '../lab/tree-difference.ts'
import { running, scratch } from './scratch.ts'

const metadata: Metadata = { mode: 0o640, uid: 0, gid: 0, mtime: { seconds: -5, nanoseconds: 7 }, xattrs: new Map() }
/** More than two system calls take. */
const deep = Array.from({ length: 45 }, (_, index) => `${index}${'\xff'.repeat(240)}`).join('/')

test('a path that is longer than a system call takes is checked out, with what it is linked to', async () => {
  using folder = scratch()
  const entries: LayerEntry[] = [
    { kind: 'file', path: 'before', metadata, size: 0 },
    { kind: 'directory', path: deep, metadata: { ...metadata, mode: 0o750 } },
    { kind: 'file', path: `${deep}/file`, metadata, size: 4 },
    { kind: 'symlink', path: `${deep}/symlink`, metadata, target: '../file' },
    { kind: 'fifo', path: `${deep}/pipe`, metadata },
    { kind: 'hardlink', path: 'near', metadata, target: `${deep}/file` },
    { kind: 'hardlink', path: `${deep}/z/far`, metadata, target: 'near' },
    { kind: 'hardlink', path: `${deep}/before`, metadata, target: 'before' },
    { kind: 'file', path: 'after', metadata, size: 0 },
    { kind: 'hardlink', path: `${deep}/after`, metadata, target: 'after' },
  ]
  const store = join(folder.path, 'store')
  using staging = openStaging(store)
  using writer = collectingWriter(store, staging.openFolder())
  for (const entry of entries) {
    writer.entry(entry)
    if (entry.kind !== 'file') continue
    writer.content(Buffer.alloc(entry.size, 'deep'))
    writer.endFile()
  }
  const tree = mergeLayers([writer.entries])
  staging.commit()
  for (const method of ['hardlink', 'copy'] as const) {
    const target = join(folder.path, method)
    await checkOutInThreads(store, tree, { target, method, shared: true }, running())
    const made = readTree(target)
    const { mode, mtime, names } = made.get(`${deep}/file`) ?? {}
    assert.deepEqual([mode, mtime], ['640', -4_999_999_993n])
    assert.equal(names?.split(' = ').length, 3)
    for (const name of ['before', 'after']) assert.equal(made.get(name)?.names.split(' = ').length, 2)
    assert.equal(made.get(`${deep}/symlink`)?.content, '../file')
    assert.equal(made.get(`${deep}/pipe`)?.type, 'fifo')
    assert.equal(made.get(deep)?.mode, '750')
    assert.equal(made.get(deep)?.mtime, -4_999_999_993n)
    rmSync(target, { recursive: true })
  }
})

test('reaching a folder keeps nothing open afterwards', () => {
  using folder = scratch()
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  let path = folder.path
  for (let depth = 0; depth < 30; depth++) {
    using reached = reachFolder(path)
    mkdirSync(`${reached.path}/${'d'.repeat(250)}`)
    path += `/${'d'.repeat(250)}`
  }
  assert.ok(path.length > 7000)
  assert.throws(() => reachFolder(`${path}/none/${'d'.repeat(250)}`), { code: 'ENOENT' })
  assert.equal(open(), before)
})
