import assert from 'node:assert/strict'
import { chmodSync, chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownEnvironment } from '../../src/host/own-environment.ts'
import { foreignPart, readRootOnly, requireRootOnly } from '../../src/host/root-only.ts'
import { scratch } from '../store/scratch.ts'

/** Folder `own`, root's, and `theirs` of the user 1234, each with a `file` of root's. */
function places() {
  const folder = scratch()
  const [own, theirs] = ['own', 'theirs'].map((name) => join(folder.path, name)) as [string, string]
  for (const place of [own, theirs]) {
    mkdirSync(place)
    writeFileSync(join(place, 'file'), '')
  }
  chownSync(theirs, 1234, 1234)
  return { ...folder, own, theirs, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

test("a file of root's in folders of root's is root's alone, below a sticky folder, too", () => {
  using folder = places()
  assert.equal(foreignPart(join(folder.own, 'file')), undefined)
  assert.equal(foreignPart(join(folder.own, 'absent/too')), undefined)
  chmodSync(folder.own, 0o1777)
  assert.equal(foreignPart(join(folder.own, 'file')), undefined)
  assert.deepEqual(foreignPart(folder.own), { path: folder.own, reason: 'is writable by others' })
})

test('whoever owns or may write the file, a folder above, or a link on the way, may change it', () => {
  using folder = places()
  const { own, theirs } = folder
  const file = join(own, 'file')
  const foreign = { path: theirs, reason: 'belongs to the user 1234' }
  assert.deepEqual(foreignPart(join(theirs, 'file')), foreign)
  assert.deepEqual(foreignPart(join(theirs, 'absent')), foreign)
  symlinkSync('../theirs/file', join(own, 'away'))
  assert.deepEqual(foreignPart(join(own, 'away')), foreign)
  symlinkSync(theirs, join(own, 'folder'))
  assert.deepEqual(foreignPart(join(own, 'folder/file')), foreign)
  symlinkSync('file', join(own, 'planted'))
  lchownSync(join(own, 'planted'), 1234, 1234)
  assert.deepEqual(foreignPart(join(own, 'planted'))?.path, join(own, 'planted'))
  symlinkSync('circle', join(own, 'circle'))
  assert.match(foreignPart(join(own, 'circle'))?.reason ?? '', /circle/)
  for (const mode of [0o664, 0o646]) {
    chmodSync(file, mode)
    assert.deepEqual(foreignPart(file), { path: file, reason: 'is writable by others' })
  }
  chmodSync(file, 0o644)
  chmodSync(own, 0o775)
  assert.deepEqual(foreignPart(file), { path: own, reason: 'is writable by others' })
})

test('such a file is refused by root, with what to do', () => {
  using folder = places()
  const file = join(folder.theirs, 'file')
  assert.throws(() => requireRootOnly(file, 'policy'), {
    code: 'policy',
    message: `${file} is not used, since others than root may change it: ${folder.theirs} belongs to the user 1234`,
    hint: new RegExp(`chown root ${folder.theirs} && chmod go-w ${folder.theirs}$`),
  })
  requireRootOnly(join(folder.own, 'file'), 'policy')
})

test("root's home is that of the user database, and folders of others do not count", () => {
  const { HOME: home } = ownEnvironment({})
  assert.equal(home, userInfo().homedir)
  const others = { HOME: '/home/alice', XDG_CONFIG_HOME: '/home/alice/.config', XDG_RUNTIME_DIR: '/run/user/1000' }
  assert.deepEqual(ownEnvironment({ ...others, XDG_DATA_HOME: `${home}/../home/alice`, PATH: '/bin' }), {
    ...{ HOME: home, PATH: '/bin' },
  })
  const own = { XDG_CONFIG_HOME: `${home}/settings`, XDG_RUNTIME_DIR: '/run/user/0', XDG_SESSION_ID: '1' }
  assert.deepEqual(ownEnvironment(own), { ...own, HOME: home })
})

test('what cannot be read is an error with a name, and what is not there is none', () => {
  using folder = places()
  assert.equal(readRootOnly(join(folder.own, 'absent'), 'settings'), undefined)
  assert.deepEqual(readRootOnly(join(folder.own, 'file'), 'settings'), Buffer.alloc(0))
  assert.throws(() => readRootOnly(folder.own, 'settings'), { code: 'settings', message: /cannot read .*: EISDIR/ })
  assert.throws(() => readRootOnly(join(folder.theirs, 'file'), 'settings'), {
    code: 'settings',
    message: /may change it/,
  })
})
