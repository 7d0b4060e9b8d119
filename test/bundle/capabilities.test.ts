import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { allCapabilities, grantableCapabilities } from '../../src/bundle/capabilities.ts'

test('the capabilities are those that PID 1 may have, and not all that the kernel knows', () => {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-capabilities-'))
  try {
    const status = join(folder, 'status')
    const of = (bounding: string): string[] => {
      writeFileSync(
        status,
        `Name:\tsystemd\nCapPrm:\t0000000000000000\nCapBnd:\t${bounding}\nCapAmb:\t0000000000000000\n`,
      )
      return grantableCapabilities(status)
    }
    assert.deepEqual(of('000001ffffffffff'), allCapabilities)
    assert.deepEqual(of('0000000000000003'), ['CAP_CHOWN', 'CAP_DAC_OVERRIDE'])
    // As systemd-nspawn gives them by itself: among others no CAP_SYS_RAWIO (17) and no CAP_SYS_TIME (25).
    const nspawn = of('00000000fdecafff')
    assert.deepEqual([nspawn.includes('CAP_SYS_ADMIN'), nspawn.includes('CAP_SYS_TIME')], [true, false])
    assert.deepEqual(of('ffffffffffffffff'), allCapabilities)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('those of the running host are the bounding set of its PID 1', () => {
  const [, bounding = ''] = /^CapBnd:\s*(\w+)$/m.exec(readFileSync('/proc/1/status', 'latin1')) ?? []
  const known = BigInt(`0x${bounding}`) & ((1n << BigInt(allCapabilities.length)) - 1n)
  const bits = [...known.toString(2)].filter((bit) => bit === '1')
  assert.equal(grantableCapabilities().length, bits.length)
})

test('a host without /proc is an error that says so', () => {
  assert.throws(() => grantableCapabilities('/nonexistent/status'), { code: 'runtime', hint: /\/proc/ })
})
