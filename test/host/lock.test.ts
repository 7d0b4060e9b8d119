import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { acquireLock, type Lock, type LockHolder, type LockRequest } from '../../src/host/lock.ts'
import { scratch } from '../store/scratch.ts'

function request(operation: string, rest: Partial<LockRequest> = {}): LockRequest {
  return { mode: 'exclusive', operation, signal: new AbortController().signal, onWait: () => {}, ...rest }
}

/** Asks for a lock; `waits` is settled when it is known that it has to wait. */
function asking(folder: string, operation: string, mode: LockRequest['mode'] = 'exclusive') {
  const { promise: waits, resolve } = Promise.withResolvers<LockHolder>()
  const lock = acquireLock(folder, request(operation, { mode, onWait: resolve }))
  return { lock, waits }
}

test('it is given in the order in which it was asked for', async () => {
  using place = scratch()
  const folder = join(place.path, 'run', 'lock')
  const first = await acquireLock(folder, request('first'))
  const order: string[] = []
  const others: Promise<void>[] = []
  for (const name of ['second', 'third', 'fourth']) {
    const { lock, waits } = asking(folder, name)
    assert.equal((await waits).operation, 'first')
    const taking = async (): Promise<void> => {
      using _held = await lock
      order.push(name)
    }
    others.push(taking())
  }
  first[Symbol.dispose]()
  await Promise.all(others)
  assert.deepEqual(order, ['second', 'third', 'fourth'])
  assert.deepEqual(readdirSync(folder), ['next'])
})

test('who waits is told who has it, for what and since when', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  const began = Math.floor(Date.now() / 1000)
  const held = await acquireLock(folder, request('install etcd'))
  const { lock, waits } = asking(folder, 'pull')
  const { process: pid, operation, since } = await waits
  assert.deepEqual([pid, operation], [process.pid, 'install etcd'])
  assert.ok(since >= began && since <= Date.now() / 1000)
  held[Symbol.dispose]()
  ;(await lock)[Symbol.dispose]()
})

test('who does not want to wait any longer is told who has it, and leaves no ticket', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  using _held = await acquireLock(folder, request('install etcd'))
  await assert.rejects(acquireLock(folder, request('pull', { timeout: 50 })), {
    code: 'locked',
    message: new RegExp(
      `^'forerun install etcd' \\(process ${process.pid}\\), which began \\d s ago, was not done within 0\\.05 s$`,
    ),
  })
  assert.deepEqual(readdirSync(folder).sort(), ['1', 'next'])
})

test('readers share it; one who changes waits for those before, and those after for him', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  const readers = [
    await acquireLock(folder, request('list', { mode: 'shared' })),
    await acquireLock(folder, request('verify', { mode: 'shared' })),
  ]
  const writer = asking(folder, 'install')
  assert.equal((await writer.waits).operation, 'list')
  const late = asking(folder, 'storage', 'shared')
  assert.equal((await late.waits).operation, 'install')
  for (const reader of readers) reader[Symbol.dispose]()
  ;(await writer.lock)[Symbol.dispose]()
  ;(await late.lock)[Symbol.dispose]()
})

test('one who shares it from now on lets readers in, and nobody who changes', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  const held: Lock = await acquireLock(folder, request('install'))
  const reader = asking(folder, 'verify', 'shared')
  await reader.waits
  held.share()
  const reading = await reader.lock
  const writer = asking(folder, 'prune')
  assert.equal((await writer.waits).operation, 'install')
  held[Symbol.dispose]()
  reading[Symbol.dispose]()
  ;(await writer.lock)[Symbol.dispose]()
})

test('it is free again when its holder was killed', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  const module = join(import.meta.dirname, '../../src/host/lock.ts')
  const program = `
    const { acquireLock } = await import(${JSON.stringify(module)})
    globalThis.held = await acquireLock(${JSON.stringify(folder)},
      { mode: 'exclusive', operation: 'killed', signal: new AbortController().signal, onWait() {} })
    console.log('held')
    setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  const { lock, waits } = asking(folder, 'next')
  try {
    assert.equal((await waits).operation, 'killed')
  } finally {
    holder.kill('SIGKILL')
  }
  ;(await lock)[Symbol.dispose]()
  // Who asks next clears away what the killed one left.
  ;(await acquireLock(folder, request('another')))[Symbol.dispose]()
  assert.deepEqual(readdirSync(folder), ['next'])
})

test('an interrupt ends the wait, and leaves nobody in the way', async () => {
  using place = scratch()
  const folder = join(place.path, 'lock')
  const held = await acquireLock(folder, request('install'))
  const interrupt = new AbortController()
  const waiting = acquireLock(folder, request('pull', { signal: interrupt.signal, onWait: () => interrupt.abort() }))
  await assert.rejects(waiting, { code: 'interrupted' })
  held[Symbol.dispose]()
  assert.deepEqual(readdirSync(folder), ['next'])
})

test('its folder has its mode whatever the umask', async () => {
  using place = scratch()
  const folder = join(place.path, 'run', 'lock')
  const mask = process.umask(0o002)
  try {
    ;(await acquireLock(folder, request('install')))[Symbol.dispose]()
    assert.equal(statSync(folder).mode & 0o7777, 0o755)
    process.umask(0o077)
    ;(await acquireLock(join(place.path, 'narrow', 'lock'), request('install')))[Symbol.dispose]()
    assert.equal(statSync(join(place.path, 'narrow')).mode & 0o7777, 0o755)
  } finally {
    process.umask(mask)
  }
})

test('a folder that others may write to is refused, and so is a link', async () => {
  using place = scratch()
  const open = join(place.path, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  await assert.rejects(acquireLock(open, request('install')), { code: 'locked' })
  const link = join(place.path, 'link')
  mkdirSync(join(place.path, 'elsewhere'))
  symlinkSync('elsewhere', link)
  await assert.rejects(acquireLock(link, request('install')), { code: 'locked' })
  assert.deepEqual(readdirSync(join(place.path, 'elsewhere')), [])
})
