import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { finishChange, undoChange } from '../../src/transaction/kinds.ts'
import { fakeHost } from './fake-host.ts'

let folder: string
let notices: string[]
beforeEach(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), 'forerun-made-test-'))
  notices = []
})
afterEach(() => rmSync(folder, { recursive: true }))

const host = fakeHost('/nowhere', (event) => {
  if (event.type === 'notice') notices.push(event.message)
})

/** As a container leaves it that replaced a folder of its volume by a link to one of the host. */
function linked(): { paths: string[]; file: string; empty: string } {
  const data = join(folder, 'data')
  mkdirSync(data)
  mkdirSync(join(folder, 'etc/cron.d'), { recursive: true })
  writeFileSync(join(folder, 'etc/cron'), '')
  symlinkSync('../etc', join(data, 'a'))
  return {
    paths: [data, join(data, 'a/cron.d'), join(data, 'a/cron')],
    file: join(folder, 'etc/cron'),
    empty: join(folder, 'etc/cron.d'),
  }
}

test('uninstalling removes nothing of the host through a link that a container made', async () => {
  const { paths, file, empty } = linked()
  await finishChange({ kind: 'remove-empty', paths }, host)
  assert.ok(existsSync(file) && existsSync(empty))
  assert.deepEqual(notices, [
    `Kept ${paths[2]}: a symbolic link leads to it.`,
    `Kept ${paths[1]}: a symbolic link leads to it.`,
    `Kept ${paths[0]}, which is not empty.`,
  ])
})

test('undoing an installation removes nothing of the host through such a link, either', async () => {
  const { paths, file, empty } = linked()
  await undoChange({ kind: 'create-tmpfiles', file: 'x', absent: paths }, host)
  assert.ok(existsSync(file) && existsSync(empty))
})

test('what holds nothing goes, and what holds something is kept', async () => {
  const paths = ['a', 'a/b', 'a/empty', 'c', 'c/file'].map((path) => join(folder, path))
  mkdirSync(join(folder, 'a/b'), { recursive: true })
  mkdirSync(join(folder, 'c'))
  writeFileSync(join(folder, 'a/empty'), '')
  writeFileSync(join(folder, 'c/file'), 'data')
  await finishChange({ kind: 'remove-empty', paths }, host)
  assert.equal(existsSync(join(folder, 'a')), false)
  assert.ok(existsSync(join(folder, 'c/file')))
  assert.equal(notices.length, 2)
})
