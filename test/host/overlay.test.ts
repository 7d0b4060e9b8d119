import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { overlayFault } from '../../src/host/overlay.ts'
import { releaseAtEnd } from '../lab/at-end.ts'
import { labFolder, removeLabFolder } from '../lab/leftovers.ts'

let folder: string
let disarm: () => void
const signal = new AbortController().signal

before(async () => {
  folder = await labFolder()
  disarm = releaseAtEnd(() => removeLabFolder(folder))
})
after(() => {
  removeLabFolder(folder)
  disarm()
})

function assertUndone(inside: string): void {
  assert.ok(!readdirSync(inside).includes('trial'))
  assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(`${inside}/trial`))
}

for (const kind of ['writable', 'read-only'] as const) {
  test(`a ${kind} overlay on a file system in memory is tried, and nothing of it is left`, async () => {
    assert.equal(await overlayFault(join(folder, 'trial'), kind, { signal }), undefined)
    assertUndone(folder)
  })
}

test('an overlay on an overlay can be read-only, and is told to be no place for a writable one', async () => {
  const names = ['lower', 'upper', 'work', 'root']
  for (const name of names) mkdirSync(join(folder, name))
  const layers = names.slice(0, 3).map((name) => `${name}dir=${join(folder, name)}`)
  execFileSync('mount', ['-t', 'overlay', '-o', layers.join(), 'forerun-lab', join(folder, 'root')])
  const trial = join(folder, 'root/trial')
  assert.equal(await overlayFault(trial, 'writable', { signal }), 'the kernel refuses it on this file system')
  assertUndone(join(folder, 'root'))
  assert.equal(await overlayFault(trial, 'read-only', { signal }), undefined)
  assertUndone(join(folder, 'root'))
})

test('a raised signal ends the trial and leaves nothing', async () => {
  const options = { signal: AbortSignal.abort() }
  await assert.rejects(overlayFault(join(folder, 'trial'), 'writable', options), { code: 'interrupted' })
  assertUndone(folder)
})
