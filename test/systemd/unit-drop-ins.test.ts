import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { unitDropIns } from '../../src/systemd/unit-drop-ins.ts'

let folder: string

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'forerun-drop-ins-'))
})

after(() => rmSync(folder, { recursive: true }))

function write(path: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), path)
}

test('drop-ins come by their names, those of the unit, of its prefixes and of all services', () => {
  const ours = ['etc/a-b.service.d/20-x.conf', 'etc/a-.service.d/30-x.conf', 'usr/service.d/10-x.conf']
  for (const path of [...ours, 'etc/a-b.service.d/README', 'etc/b.service.d/5.conf', 'usr/a-b.service.d/20-x.conf']) {
    write(path)
  }
  const found = unitDropIns('a-b.service', [join(folder, 'etc'), join(folder, 'usr'), join(folder, 'absent')])
  assert.deepEqual(
    found.map(({ text }) => text),
    ['usr/service.d/10-x.conf', 'etc/a-b.service.d/20-x.conf', 'etc/a-.service.d/30-x.conf'],
  )
  assert.equal(found[0]?.path, join(folder, 'usr/service.d/10-x.conf'))
})

test('a file in place of the folder, a folder in place of a drop-in, and a link to nowhere are passed over', () => {
  write('odd/x.service.d')
  write('odd/y.service.d/10-folder.conf/file')
  symlinkSync('/nowhere', join(folder, 'odd/y.service.d/20-link.conf'))
  assert.deepEqual(unitDropIns('x.service', [join(folder, 'odd')]), [])
  assert.deepEqual(unitDropIns('y.service', [join(folder, 'odd')]), [])
})
