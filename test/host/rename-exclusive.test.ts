import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { renameExclusive, renameWithoutFlag } from '../../src/host/system-calls.ts'
import { scratch } from '../store/scratch.ts'

for (const [how, rename] of [
  ['with the flag', renameExclusive],
  ['on a file system without it', renameWithoutFlag],
] as const) {
  describe(`a rename that replaces nothing, ${how}`, () => {
    it('moves files, links and folders', () => {
      using folder = scratch()
      const at = (name: string): string => join(folder.path, name)
      writeFileSync(at('file'), 'text')
      symlinkSync('nowhere', at('link'))
      mkdirSync(at('folder'))
      for (const name of ['file', 'link', 'folder']) rename(at(name), at(`new-${name}`))
      assert.equal(readFileSync(at('new-file'), 'utf8'), 'text')
      assert.equal(readlinkSync(at('new-link')), 'nowhere')
      assert.throws(() => readFileSync(at('file')), { code: 'ENOENT' })
    })

    it('refuses a name that is taken, by an empty folder and a dangling link, too', () => {
      using folder = scratch()
      const at = (name: string): string => join(folder.path, name)
      for (const [taken, moved] of [
        ['file', 'file'],
        ['link', 'file'],
        ['folder', 'folder'],
      ] as const) {
        const to = at(`taken-${taken}`)
        if (taken === 'link') symlinkSync('nowhere', to)
        else if (taken === 'folder') mkdirSync(to)
        else writeFileSync(to, 'mine')
        const from = at(`from-${taken}`)
        if (moved === 'folder') mkdirSync(from)
        else writeFileSync(from, 'other')
        assert.throws(() => rename(from, to), { code: 'EEXIST' })
      }
      assert.equal(readFileSync(at('taken-file'), 'utf8'), 'mine')
    })
  })
}
