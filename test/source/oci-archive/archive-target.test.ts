import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ForerunError } from '../../../src/errors.ts'
import { digestOf } from '../../../src/image/digest.ts'
import { archiveTarget } from '../../../src/source/oci-archive/archive-target.ts'
import { tarHeader, tarPadding } from '../../../src/source/oci-archive/tar-header.ts'
import { scratch } from '../../store/scratch.ts'
import {
  contentOf,
  contextOf,
  descriptorOf,
  entries,
  faultsOf,
  manifestOf,
  manifestType,
} from '../oci-layout/writing.ts'

const one = randomBytes(100_000)
const two = randomBytes(512)

test('an archive holds a whole layout, and the same image makes the same archive', async () => {
  using folder = scratch()
  for (const name of ['a.tar', 'b.tar']) {
    await using target = archiveTarget(join(folder.path, name), { image: '3.5' })
    for (const blob of [one, two]) assert.equal(await writeBlob(target, blob), 'sent')
    assert.equal(await writeBlob(target, one), 'present')
    await writeManifest(target)
  }
  assert.deepEqual(readdirSync(folder.path), ['a.tar', 'b.tar'])
  const [a, b] = ['a.tar', 'b.tar'].map((name) => readFileSync(join(folder.path, name)))
  assert.ok(a && b?.equals(a))
  execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder.path })
  assert.deepEqual(entries(folder.path), { '3.5': digestOf(manifestOf(one)) })
  assert.deepEqual(faultsOf(folder.path), [])
})

test('blobs that are written at once come one after the other', async () => {
  using folder = scratch()
  const blobs = Array.from({ length: 8 }, () => randomBytes(70_000))
  await using target = archiveTarget(join(folder.path, 'a.tar'), { image: undefined })
  await Promise.all(blobs.map((blob) => writeBlob(target, blob)))
  await writeManifest(target)
  execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder.path })
  assert.equal(readdirSync(join(folder.path, 'blobs/sha256')).length, 9)
  assert.deepEqual(faultsOf(folder.path), [])
})

test('content that fails leaves nothing in the archive, and may be written again', async () => {
  using folder = scratch()
  await using target = archiveTarget(join(folder.path, 'a.tar'), { image: 'x' })
  await writeBlob(target, two)
  async function* failing(): AsyncGenerator<Buffer> {
    yield one.subarray(0, 70_000)
    throw new ForerunError('digest', 'not what it should be')
  }
  const context = contextOf([])
  const content = { open: failing, neighbours: [] }
  await assert.rejects(target.writeBlob(descriptorOf(one), content, context), { code: 'digest' })
  await writeBlob(target, one)
  await writeManifest(target)
  execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder.path })
  assert.deepEqual(faultsOf(folder.path), [])
})

test('an archive that is not finished leaves no file', async () => {
  using folder = scratch()
  {
    await using target = archiveTarget(join(folder.path, 'a.tar'), { image: 'x' })
    await writeBlob(target, two)
    assert.equal(readdirSync(folder.path).length, 1)
  }
  assert.deepEqual(readdirSync(folder.path), [])
})

test('a file that is there stays as it is, unless it is empty', async () => {
  using folder = scratch()
  const path = join(folder.path, 'a.tar')
  writeFileSync(path, 'precious')
  {
    await using target = archiveTarget(path, { image: 'x' })
    await assert.rejects(writeBlob(target, two), { code: 'file-exists' })
  }
  assert.equal(readFileSync(path, 'utf8'), 'precious')
  writeFileSync(path, '')
  {
    await using target = archiveTarget(path, { image: 'x' })
    await writeBlob(target, one)
    // It came in between.
    writeFileSync(path, 'precious')
    await assert.rejects(writeManifest(target), { code: 'file-exists' })
  }
  assert.deepEqual(readdirSync(folder.path), ['a.tar'])
  await using target = archiveTarget(join(folder.path, 'no/folder/a.tar'), { image: 'x' })
  await assert.rejects(writeBlob(target, two), { code: 'archive', message: /there is no folder/ })
})

test('tar understands names and sizes that need an extended header', () => {
  using folder = scratch()
  const name = `blobs/sha512/${'a'.repeat(128)}`
  const content = Buffer.concat([two, Buffer.from('x')])
  const small = Buffer.concat([tarHeader(name, content.length), content, Buffer.alloc(tarPadding(content.length))])
  writeFileSync(join(folder.path, 'a.tar'), Buffer.concat([small, tarHeader('huge', 9 * 1024 ** 3)]))
  const listed = execFileSync('sh', ['-c', 'tar -tvf a.tar 2>/dev/null; true'], { cwd: folder.path, encoding: 'utf8' })
  assert.match(listed, new RegExp(`-rw-r--r-- 0/0 +513 1970-01-01 .* ${name}\n`))
  assert.match(listed, /9663676416 .* huge\n/)
})

async function writeBlob(target: ReturnType<typeof archiveTarget>, blob: Buffer) {
  return target.writeBlob(descriptorOf(blob), { open: () => contentOf(blob), neighbours: [] }, contextOf([]))
}

async function writeManifest(target: ReturnType<typeof archiveTarget>): Promise<void> {
  const bytes = manifestOf(one)
  await target.writeManifest({ mediaType: manifestType, digest: digestOf(bytes), bytes }, contextOf([]))
}
