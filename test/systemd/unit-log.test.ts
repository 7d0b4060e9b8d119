import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { lastLogLines } from '../../src/systemd/unit-log.ts'
import { scratch } from '../store/scratch.ts'

const path = process.env.PATH
afterEach(() => {
  process.env.PATH = path
})

/** A folder of PATH in which journalctl does what the script says. */
function journalctl(script: string) {
  const folder = scratch()
  const file = join(folder.path, 'journalctl')
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  process.env.PATH = `${folder.path}:${path}`
  return folder
}

test('where there is no journalctl, or it fails, there are no lines', async () => {
  using empty = scratch()
  process.env.PATH = empty.path
  assert.deepEqual(await lastLogLines('etcd.service', { since: 0 }), [])
  using _failing = journalctl('echo a line; exit 1')
  assert.deepEqual(await lastLogLines('etcd.service', { since: 0 }), [])
})

test('the lines come without empty ones, and a sync that fails does not matter', async () => {
  using _writing = journalctl('[ "$1" = --sync ] && exit 1; printf "one\\n\\ntwo\\n"')
  assert.deepEqual(await lastLogLines('etcd.service', { since: 0 }), ['one', 'two'])
})
