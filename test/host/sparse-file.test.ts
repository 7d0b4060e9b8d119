import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { contentDigest } from '../../src/host/content-digest.ts'
import { copyFileWithHoles, fileDigest, isSparse } from '../../src/host/sparse-file.ts'
import { scratch } from '../store/scratch.ts'

/** More than any disk of a test has, and more than could be read. */
const tebibytes = 4 * 1024 ** 4

/** A file of so many bytes with a few that are not zero. */
function sparseFile(path: string, size: number, at: readonly number[]): void {
  writeFileSync(path, '')
  truncateSync(path, size)
  const fd = openSync(path, 'r+')
  for (const position of at) writeSync(fd, 'x', position)
  closeSync(fd)
}

function digestOf(size: number, at: readonly number[]): string {
  const digest = contentDigest()
  let position = 0
  for (const one of at) {
    digest.zeros(one - position)
    digest.update(Buffer.from('x'))
    position = one + 1
  }
  digest.zeros(size - position)
  return digest.end()
}

describe('a file of terabytes that holds next to nothing', () => {
  for (const [where, at] of Object.entries({
    nowhere: [],
    'at its beginning': [0],
    'in its midst': [123_456_789, 2 * 1024 ** 4],
    'at its end': [tebibytes - 1],
  })) {
    it(`is hashed and copied, with something ${where}`, () => {
      using folder = scratch()
      const [from, to] = [join(folder.path, 'from'), join(folder.path, 'to')]
      sparseFile(from, tebibytes, at)
      assert.equal(fileDigest(from), digestOf(tebibytes, at))
      copyFileWithHoles(from, to, { clone: false })
      assert.ok(isSparse(statSync(to)))
      assert.equal(statSync(to).size, tebibytes)
      assert.equal(fileDigest(to), digestOf(tebibytes, at))
    })
  }
})

describe('copyFileWithHoles', () => {
  it('copies what has no holes byte by byte', () => {
    using folder = scratch()
    const [from, to] = [join(folder.path, 'from'), join(folder.path, 'to')]
    const content = Buffer.from(Array.from({ length: 3_000_001 }, (_, index) => 1 + (index % 251)))
    writeFileSync(from, content, { mode: 0o4777 })
    for (const clone of [true, false]) {
      copyFileWithHoles(from, `${to}${clone}`, { clone })
      assert.ok(readFileSync(`${to}${clone}`).equals(content))
      assert.equal(statSync(`${to}${clone}`).mode & 0o7777, 0o600)
    }
  })

  it('takes the place of nothing', () => {
    using folder = scratch()
    const path = join(folder.path, 'file')
    writeFileSync(path, 'mine')
    assert.throws(() => copyFileWithHoles(path, path, { clone: true }), { code: 'EEXIST' })
    assert.equal(readFileSync(path, 'utf8'), 'mine')
  })
})
