import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setExtendedAttribute } from '../../src/host/system-calls.ts'
import { scanTree } from '../../src/store/scan-tree.ts'
import { privilegedFiles } from '../../src/tree/privileged-files.ts'
import { scratch } from './scratch.ts'

test('the capabilities of programs are read, and their set-uid bits', () => {
  using folder = scratch()
  for (const name of ['capable', 'set-uid', 'plain', 'data']) {
    const path = join(folder.path, name)
    writeFileSync(path, '')
    chmodSync(path, name === 'data' ? 0o644 : name === 'set-uid' ? 0o4755 : 0o755)
    setExtendedAttribute(Buffer.from(path), Buffer.from('trusted.note'), Buffer.from('x'))
  }
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
  setExtendedAttribute(Buffer.from(join(folder.path, 'capable')), Buffer.from('security.capability'), capability)
  const tree = scanTree(folder.path)
  assert.deepEqual(privilegedFiles(tree).sort(), ['/capable', '/set-uid'])
  assert.deepEqual(tree.children.get('capable')?.metadata.xattrs, new Map([['security.capability', capability]]))
  assert.deepEqual(tree.children.get('plain')?.metadata.xattrs, new Map())
})
