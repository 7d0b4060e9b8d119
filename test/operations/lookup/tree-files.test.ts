import assert from 'node:assert/strict'
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ImageFiles } from '../../../src/bundle/image-files.ts'
import { largestText } from '../../../src/image/text-limits.ts'
import { treeFiles } from '../../../src/operations/lookup/tree-files.ts'
import { scanTree } from '../../../src/store/scan-tree.ts'
import { pathBytes } from '../../../src/tree/entry.ts'
import { scratch } from '../../store/scratch.ts'

function filesOf(folder: string): ImageFiles {
  return treeFiles(scanTree(folder), ({ object }) => pathBytes(object))
}

test('a text of gigabytes is refused without being read', () => {
  using folder = scratch()
  const fd = openSync(join(folder.path, 'passwd'), 'w')
  ftruncateSync(fd, 64 * 1024 ** 3)
  closeSync(fd)
  const files = filesOf(folder.path)
  const before = process.memoryUsage.rss()
  assert.throws(() => files.read('/passwd'), {
    code: 'limit',
    message: `The file '/passwd' of the image has more than ${largestText} bytes`,
  })
  assert.ok(process.memoryUsage.rss() - before < 32 * 1024 ** 2)
})

test('a text of the largest size is read, and what has grown since it was looked at is refused', () => {
  using folder = scratch()
  const path = join(folder.path, 'text')
  writeFileSync(path, Buffer.alloc(largestText, 'x'))
  const files = filesOf(folder.path)
  assert.equal(files.read('text')?.length, largestText)
  writeFileSync(path, 'x', { flag: 'a' })
  assert.throws(() => files.read('text'), { code: 'limit' })
})

test('many texts are refused together', () => {
  using folder = scratch()
  mkdirSync(join(folder.path, 'exports'))
  for (let index = 0; index < 17; index++) {
    writeFileSync(join(folder.path, `exports/${index}`), Buffer.alloc(largestText))
  }
  const files = filesOf(folder.path)
  for (let index = 0; index < 16; index++) files.read(`exports/${index}`)
  assert.throws(() => files.read('exports/16'), { code: 'limit', message: /^The texts of the image have more than/ })
})
