import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventLine } from '../../../src/cli/output/event-line.ts'

const digest = `sha256:1${'0'.repeat(63)}`

test('a layer that is pushed says what becomes of it', () => {
  const started = { type: 'layer-started', digest, size: 5e6, kept: 0, sending: true } as const
  assert.equal(eventLine(started, false), 'Layer 100000000000: sending 5MB')
  assert.equal(eventLine(started, true), undefined)
  assert.deepEqual(
    (['present', 'mounted', 'sent'] as const).map((outcome) =>
      eventLine({ type: 'layer-pushed', digest, outcome }, false),
    ),
    [
      'Layer 100000000000: there already',
      'Layer 100000000000: mounted from another repository',
      'Layer 100000000000: done',
    ],
  )
})
