import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  boundPath,
  completeMount,
  makeMountFolder,
  mountsFolder,
  readMountFolders,
  readMounts,
  recordMount,
} from '../../src/store/mount-record.ts'
import { scratch } from './scratch.ts'

const told = { kind: 'image', source: 'registry.example/etcd:3.5', imageId: 'sha256:00' } as const

function states(store: string): string[] {
  return readMountFolders(store).map(({ state, isComplete }) => `${isComplete ? 'complete' : 'begun'} ${state}`)
}

test('a mount is told when it is complete, as long as it is there, and also beneath another', () => {
  using folder = scratch()
  const store = realpathSync(folder.path)
  const directory = join(store, 'a directory')
  mkdirSync(directory)
  const path = makeMountFolder(store)
  assert.deepEqual(states(store), ['begun gone'])
  recordMount(path, { ...told, directory })
  assert.deepEqual(states(store), ['begun gone'])
  const mounted: string[] = []
  try {
    execFileSync('mount', ['--bind', boundPath(path), directory])
    mounted.push(directory)
    assert.deepEqual([states(store), readMounts(store)], [['begun mounted'], []])
    completeMount(path)
    assert.deepEqual([states(store), readMounts(store)], [['complete mounted'], [{ ...told, directory }]])
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
    mounted.push(directory)
    assert.deepEqual([states(store), readMounts(store)], [['complete covered'], [{ ...told, directory }]])
  } finally {
    for (const point of mounted) execFileSync('umount', [point])
  }
  assert.deepEqual([states(store), readMounts(store)], [['complete gone'], []])
})

test('what is mounted later at the same directory, or by another boot, is not taken for it', () => {
  using folder = scratch()
  const store = realpathSync(folder.path)
  const directory = join(store, 'directory')
  mkdirSync(directory)
  const path = makeMountFolder(store)
  recordMount(path, { ...told, directory })
  completeMount(path)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
  try {
    assert.deepEqual(states(store), ['complete gone'])
  } finally {
    execFileSync('umount', [directory])
  }
  const record = JSON.parse(readFileSync(join(path, 'mount'), 'utf8'))
  writeFileSync(join(path, 'mount'), JSON.stringify({ ...record, boot: 'another' }))
  execFileSync('mount', ['--bind', boundPath(path), directory])
  try {
    assert.deepEqual(states(store), ['complete gone'])
  } finally {
    execFileSync('umount', [directory])
  }
})

test('a torn record is as good as none', () => {
  using folder = scratch()
  const path = makeMountFolder(folder.path)
  recordMount(path, { ...told, directory: '/mnt' })
  for (const text of ['', '{"kind":"image"', '{"kind":"image"}']) {
    writeFileSync(join(path, 'mount.new'), text)
    assert.deepEqual(readMountFolders(folder.path)[0]?.tree, undefined)
  }
  renameSync(path, join(mountsFolder(folder.path), 'other'))
  assert.deepEqual(readdirSync(mountsFolder(folder.path)), ['other'])
  assert.equal(readMountFolders(folder.path)[0]?.name, 'other')
})
