import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { launcher } from '../../packaging/archive.ts'
import { scratch } from '../store/scratch.ts'

/** The launcher with a program in place of Node that prints its environment, and a link to it, whose path is returned. */
function installed(folder: string): string {
  mkdirSync(join(folder, 'forerun'))
  writeFileSync(join(folder, 'forerun/forerun'), launcher, { mode: 0o755 })
  writeFileSync(join(folder, 'forerun/node'), '#!/bin/sh\n/usr/bin/env -0\n', { mode: 0o755 })
  const link = join(folder, 'link')
  symlinkSync('forerun/forerun', link)
  return link
}

test('nothing that Node obeys of the environment reaches it', () => {
  using folder = scratch()
  const { stdout: help } = spawnSync(process.execPath, ['--help'], { encoding: 'utf8' })
  const described = help.match(/^NODE_[A-Z0-9_]+/gm) ?? []
  assert.ok(described.length > 10)
  const names = [...described, 'NODE_OPTIONS', 'NODE_USE_SYSTEM_CA', 'OPENSSL_CONF']
  const env = Object.fromEntries(names.map((name) => [name, '/tmp/theirs']))
  const { status, stdout } = spawnSync(installed(folder.path), [], {
    encoding: 'utf8',
    env: { ...env, HTTPS_PROXY: 'x' },
  })
  const left = stdout.split('\0').map((variable) => variable.replace(/=.*/s, ''))
  assert.equal(status, 0)
  assert.deepEqual(
    left.filter((name) => name in env),
    [],
  )
  assert.ok(left.includes('HTTPS_PROXY') && left.includes('MALLOC_ARENA_MAX'))
})

test('no program of PATH is run to find Node', () => {
  using folder = scratch()
  const theirs = join(folder.path, 'theirs')
  mkdirSync(theirs)
  writeFileSync(join(theirs, 'readlink'), '#!/bin/sh\necho /nonexistent\n', { mode: 0o755 })
  const env = { PATH: `${theirs}:/usr/bin:/bin` }
  const { status, stdout } = spawnSync(installed(folder.path), [], { encoding: 'utf8', env })
  assert.equal(status, 0)
  assert.match(stdout, /PATH=.*theirs/)
})
