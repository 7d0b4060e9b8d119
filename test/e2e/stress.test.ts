import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runStress } from '../lab/stress/run.ts'
import { installedHost } from './installed-host.ts'

/** A short run of `npm run stress`; what it does by chance is the same every time, but not when each command has the lock. */
test('twelve commands at once, some of them killed, lose no update, show no half state, and leave nothing', async () => {
  await using lab = await installedHost({ settle: 0.3, disks: { '/var/lib/forerun': 'tmpfs' } })
  const report = await runStress(lab, { seed: 1, duration: 40_000, parallel: 12 })
  assert.deepEqual(report.faults, [])
  assert.ok(report.commands > 20, JSON.stringify(report))
})
