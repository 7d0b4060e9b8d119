import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isMountedSomewhere, mountsAt, mountsWithin, writableMountsBelow } from '../../src/host/mounts.ts'
import { heldFolder } from '../lab/at-end.ts'

test('mounts below a folder are told with blanks in their names, and those to which nothing can be written apart', () => {
  using held = heldFolder(join(tmpdir(), 'forerun mounts-'))
  const folder = realpathSync(held.path)
  const [open, closed, device] = ['open', 'closed', 'read-only device'].map((name) => join(folder, name))
  const options = new Map([
    [open, 'rw'],
    [closed, 'ro'],
    [device, 'rw'],
  ])
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=700', 'tmpfs', folder])
  try {
    for (const [path = '', option] of options) {
      mkdirSync(path)
      execFileSync('mount', ['-t', 'tmpfs', '-o', option, 'tmpfs', path])
    }
    // The file system, and not the mount, is read-only.
    execFileSync('mount', ['-o', 'remount,ro', device ?? ''])
    execFileSync('mount', ['-o', 'remount,bind,rw', device ?? ''])
    assert.deepEqual(writableMountsBelow(folder), [open])
    assert.ok(writableMountsBelow('/').includes(folder))
    assert.deepEqual(mountsWithin(folder), [folder, open, closed, device])
  } finally {
    execFileSync('umount', ['-R', folder])
  }
})

test('mounts at one point are counted, and a folder that is mounted is found wherever it was moved to, and in other namespaces', async () => {
  using held = heldFolder(join(tmpdir(), 'forerun mounts-'))
  const folder = realpathSync(held.path)
  const name = crypto.randomUUID()
  const [source, point, moved] = [join(folder, name, 'root'), join(folder, 'a point'), join(folder, 'moved')]
  for (const path of [source, point, moved]) mkdirSync(path, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=700', 'tmpfs', moved])
  try {
    execFileSync('mount', ['--make-private', moved])
    assert.deepEqual([mountsAt(point), isMountedSomewhere(name)], [0, false])
    mkdirSync(join(moved, 'point'))
    for (let count = 0; count < 2; count++) execFileSync('mount', ['--bind', source, join(moved, 'point')])
    assert.deepEqual([mountsAt(join(moved, 'point')), mountsAt(moved), isMountedSomewhere(name)], [2, 1, true])
  } finally {
    execFileSync('umount', ['-R', moved])
  }
  assert.equal(isMountedSomewhere(name), false)
  const script = 'mount --bind "$1" "$2" && echo mounted && exec sleep 60'
  const words = ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', source, point]
  const other = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(other.stdout, 'data')
    assert.deepEqual([mountsAt(point), isMountedSomewhere(name)], [0, true])
  } finally {
    other.kill('SIGKILL')
    await once(other, 'close')
  }
  assert.equal(isMountedSomewhere(name), false)
})
