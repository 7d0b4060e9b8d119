import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { reachWithoutLinks } from '../../src/host/folder-without-links.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), 'forerun-reach-'))
  mkdirSync(join(folder, 'a/b'), { recursive: true })
  writeFileSync(join(folder, 'a/b/file'), 'inner')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a path without links is reached, and stays what it was when names above change', () => {
  using reached = reachWithoutLinks(join(folder, 'a/b/file'))
  renameSync(join(folder, 'a'), join(folder, 'moved'))
  assert.equal(readFileSync(reached?.path ?? '', 'utf8'), 'inner')
})

test('a link among the folders is not followed, nor is a file or something absent', () => {
  symlinkSync('a', join(folder, 'link'))
  for (const path of ['link/b/file', 'a/b/file/x', 'absent/x']) {
    assert.equal(reachWithoutLinks(join(folder, path)), undefined)
  }
})

test("the host's own links in / and /var are followed", () => {
  using reached = reachWithoutLinks('/proc/self/../version')
  assert.equal(reached, undefined)
  using run = reachWithoutLinks('/var/run/x')
  assert.notEqual(run, undefined)
})
