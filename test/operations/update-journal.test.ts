import assert from 'node:assert/strict'
import { test } from 'node:test'
import { journalEntry, messageIds } from '../../src/operations/update-journal.ts'

const about = { container: 'etcd', image: 'registry.example/etcd:3.5.2', from: 'sha256:aa', to: 'sha256:bb' }

test('an entry has a message id of its outcome, and fields to look for', () => {
  assert.deepEqual(journalEntry({ ...about, outcome: 'updated' }).split('\n'), [
    `MESSAGE_ID=${messageIds.updated}`,
    'MESSAGE=etcd was updated from sha256:aa to registry.example/etcd:3.5.2 (sha256:bb)',
    'PRIORITY=5',
    'SYSLOG_IDENTIFIER=forerun',
    'FORERUN_OUTCOME=updated',
    'FORERUN_CONTAINER=etcd',
    'FORERUN_IMAGE=registry.example/etcd:3.5.2',
    'FORERUN_FROM=sha256:aa',
    'FORERUN_TO=sha256:bb',
    '',
  ])
})

test('a reason adds no fields, and what is not known is left out', () => {
  const entry = journalEntry({ ...about, to: '', outcome: 'failed', reason: 'no\nPRIORITY=0\r\x1b[2J' })
  assert.ok(entry.includes('\nFORERUN_REASON=no PRIORITY=0  [2J\n'))
  assert.doesNotMatch(entry, /^PRIORITY=0|FORERUN_TO/m)
})

test('each outcome has an id of its own, of 128 bits', () => {
  const ids = Object.values(messageIds)
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/)
})
