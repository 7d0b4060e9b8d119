import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { Change } from '../../src/transaction/change.ts'
import { makeChange, prepareChange, undoChange } from '../../src/transaction/kinds.ts'
import { removeStagedVolumes } from '../../src/transaction/volumes.ts'
import { fakeHost } from './fake-host.ts'

let folder: string
let staged: string
let place: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'forerun-volumes-test-'))
  staged = join(folder, '.forerun-volumes-x/data')
  place = join(folder, 'data')
  mkdirSync(join(staged, 'sub'), { recursive: true })
  writeFileSync(join(staged, 'sub/file'), 'of the image')
})
afterEach(() => rmSync(folder, { recursive: true }))

const notices: string[] = []
const host = fakeHost('/nowhere', (event) => {
  if (event.type === 'notice') notices.push(event.message)
})
afterEach(() => notices.splice(0))

function placing(): Change {
  return { kind: 'place-volume', staged, path: place }
}

async function make(change: Change): Promise<() => Promise<void>> {
  const record = await prepareChange(change, host)
  await makeChange(change, record, host)
  return () => undoChange(record, host)
}

test('a volume is put in place, and taken away again when the rest fails', async () => {
  const undo = await make(placing())
  assert.ok(existsSync(join(place, 'sub/file')))
  await undo()
  await undo()
  assert.ok(existsSync(join(staged, 'sub/file')))
  assert.equal(existsSync(place), false)
})

test('a volume is taken away again, too, when what it was staged in is gone by then', async () => {
  const undo = await make(placing())
  rmSync(join(folder, '.forerun-volumes-x'), { recursive: true })
  await undo()
  assert.equal(existsSync(place), false)
  assert.ok(existsSync(join(staged, 'sub/file')))
})

test('an empty folder that was there comes back with its owner and mode', async () => {
  mkdirSync(place)
  chownSync(place, 7, 8)
  chmodSync(place, 0o2750)
  const undo = await make(placing())
  assert.equal(statSync(place).uid, statSync(folder).uid)
  await undo()
  const { mode, uid, gid } = statSync(place)
  assert.deepEqual([mode & 0o7777, uid, gid], [0o2750, 7, 8])
})

test('a volume that something was written to is kept, and told of', async () => {
  for (const write of [
    () => writeFileSync(join(place, 'sub/file'), 'OF THE IMAGE'),
    () => writeFileSync(join(place, 'new'), ''),
    () => chmodSync(place, 0o700),
  ]) {
    const undo = await make(placing())
    write()
    await undo()
    assert.deepEqual(notices.splice(0), [`Kept ${place}, which has been written to.`])
    assert.ok(existsSync(join(place, 'sub/file')))
    rmSync(place, { recursive: true })
    mkdirSync(join(staged, 'sub'), { recursive: true })
    writeFileSync(join(staged, 'sub/file'), 'of the image')
  }
})

test('a folder that holds something is not replaced', async () => {
  mkdirSync(place)
  writeFileSync(join(place, 'data'), 'kept')
  const change = placing()
  const record = await prepareChange(change, host)
  await assert.rejects(makeChange(change, record, host), { code: 'host-file', message: /ENOTEMPTY/ })
  await undoChange(record, host)
  assert.ok(existsSync(join(place, 'data')))
  assert.ok(existsSync(staged))
})

test('a folder that is closed gets its mode back', async () => {
  chmodSync(folder, 0o755)
  const undo = await make({ kind: 'close-folder', path: folder })
  assert.equal(statSync(folder).mode & 0o7777, 0o700)
  await undo()
  assert.equal(statSync(folder).mode & 0o7777, 0o755)
})

test('what a killed command has staged goes, and nothing else', async () => {
  mkdirSync(place)
  await removeStagedVolumes(folder, host.emit)
  assert.equal(existsSync(staged), false)
  assert.ok(existsSync(place))
})
