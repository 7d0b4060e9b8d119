import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountsWithin, writableMountsBelow } from '../../src/host/mounts.ts'
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
