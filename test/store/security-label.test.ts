import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { extendedAttributes, setExtendedAttribute } from '../../src/host/system-calls.ts'
import { copySecurityLabel } from '../../src/store/security-label.ts'

test('a folder gets the label of another, and none from one that has none', () => {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-label-'))
  try {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    mkdirSync(from)
    mkdirSync(to)
    copySecurityLabel(from, to)
    const before = extendedAttributes(Buffer.from(to)).get('security.selinux')
    assert.deepEqual(before, extendedAttributes(Buffer.from(from)).get('security.selinux'))
    const label = Buffer.from('system_u:object_r:root_t:s0\0')
    setExtendedAttribute(Buffer.from(from), Buffer.from('security.selinux'), label)
    copySecurityLabel(from, to)
    assert.deepEqual(extendedAttributes(Buffer.from(to)).get('security.selinux'), label)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
