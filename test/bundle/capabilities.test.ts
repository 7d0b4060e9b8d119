import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { capabilityNames, lastCapability } from '../../src/bundle/capabilities.ts'

test("the running kernel's last capability is read", () => {
  const last = Number(execFileSync('cat', ['/proc/sys/kernel/cap_last_cap'], { encoding: 'utf8' }))
  assert.equal(lastCapability(), last)
  assert.equal(capabilityNames(0)[0], 'CAP_CHOWN')
  assert.equal(capabilityNames(21).at(-1), 'CAP_SYS_ADMIN')
})

test('a host without /proc is an error that says so', () => {
  assert.throws(() => lastCapability('/nonexistent/cap_last_cap'), { code: 'runtime', hint: /\/proc/ })
})
