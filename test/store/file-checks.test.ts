import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, closeSync, lutimesSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileDigest } from '../../src/host/sparse-file.ts'
import { type ExpectedFile, type FileProblem, fileChecks } from '../../src/store/file-checks.ts'
import { objectId } from '../../src/store/object.ts'
import { byteString } from '../../src/tree/entry.ts'
import { hashInThreads } from '../../src/workers/hash-in-threads.ts'
import { metadata } from '../tree/layers.ts'
import { running, scratch } from './scratch.ts'

const size = 3_000_000

/** A file with a hole of two MiB, and what it should be by its name of today and by that which earlier versions gave it. */
function sample(folder: string): { path: string; now: ExpectedFile; earlier: ExpectedFile } {
  const path = join(folder, 'file')
  writeFileSync(path, 'begin')
  truncateSync(path, size)
  settle(path)
  const whole = Buffer.alloc(size)
  whole.write('begin')
  const sha256 = createHash('sha256').update(whole).digest('hex')
  const expected = (digest: string): ExpectedFile => ({ metadata, size, object: objectId(metadata, size, digest) })
  return { path, now: expected(fileDigest(path)), earlier: expected(sha256) }
}

function settle(path: string): void {
  chmodSync(path, metadata.mode)
  lutimesSync(path, 1, 1)
}

async function problems(path: string, expected: readonly ExpectedFile[]): Promise<(FileProblem | undefined)[]> {
  const found: (FileProblem | undefined)[] = expected.map(() => undefined)
  const checks = fileChecks()
  for (const [index, one] of expected.entries()) {
    checks.add(byteString(path), one, (problem) => {
      found[index] = problem
    })
  }
  await checks.run(hashInThreads(running()))
  return found
}

describe('a file with a hole', () => {
  it('is whole by its name of today, and by that of earlier versions', async () => {
    using folder = scratch()
    const { path, now, earlier } = sample(folder.path)
    assert.notEqual(now.object, earlier.object)
    assert.deepEqual(await problems(path, [now, earlier]), [undefined, undefined])
  })

  it('is damaged by what is written into the hole, by either', async () => {
    using folder = scratch()
    const { path, now, earlier } = sample(folder.path)
    const fd = openSync(path, 'r+')
    writeSync(fd, 'x', 2_000_000)
    closeSync(fd)
    settle(path)
    assert.deepEqual(await problems(path, [now, earlier]), ['content', 'content'])
  })

  it('is whole when the hole has been filled with zeros', async () => {
    using folder = scratch()
    const { path, now, earlier } = sample(folder.path)
    const fd = openSync(path, 'r+')
    writeSync(fd, Buffer.alloc(2_900_000), 0, 2_900_000, 100_000)
    closeSync(fd)
    settle(path)
    assert.deepEqual(await problems(path, [now, earlier]), [undefined, undefined])
  })
})

describe('a blob', () => {
  it('is checked by its SHA-256 alone, and is no file that could replace another', async () => {
    using folder = scratch()
    const path = join(folder.path, 'blob')
    writeFileSync(path, 'blob', { mode: 0o600 })
    const sha256 = createHash('sha256').update('blob').digest('hex')
    for (const [expected, problem] of [
      [{ size: 4, sha256 }, undefined],
      [{ size: 5, sha256 }, 'size'],
      [{ size: 4, sha256: '0'.repeat(64) }, 'content'],
    ] as const) {
      let found: FileProblem | undefined
      const checks = fileChecks()
      checks.addContent(byteString(path), expected, (one) => {
        found = one
      })
      assert.deepEqual(await checks.run(hashInThreads(running())), [])
      assert.equal(found, problem)
    }
  })
})
