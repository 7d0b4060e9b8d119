import assert from 'node:assert/strict'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { archiveFiles } from '../../src/source/archive-files.ts'
import { readDocument } from '../../src/source/image-parts.ts'
import { packLayer } from '../lab/layer.ts'
import { context, folder, refused } from './reading-files.ts'

/** A header block of a regular file `x`, with some bytes of it replaced and its checksum right. */
async function header(...changes: [offset: number, bytes: Buffer | string][]): Promise<Buffer> {
  const block = Buffer.from((await packLayer({ x: 'hello' }, { compression: 'none' })).bytes.subarray(0, 512))
  for (const [offset, bytes] of changes) Buffer.from(bytes).copy(block, offset)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function files(t: TestContext, ...parts: Buffer[]) {
  const path = join(folder(t), 'x.tar')
  writeFileSync(path, Buffer.concat(parts))
  const source = archiveFiles(path)
  t.after(() => source[Symbol.asyncDispose]())
  return source
}

const content = Buffer.alloc(512)
content.write('hello')
const end = Buffer.alloc(1024)
const sizeField = 124
const typeField = 156

test('an archive without its end, or with zeros after it, is read', async (t) => {
  const whole = [await header(), content]
  for (const rest of [[], [end], [end, Buffer.alloc(20_000)]]) {
    const source = files(t, ...whole, ...rest)
    assert.equal(String(await readDocument(source, 'x', context)), 'hello')
    assert.equal(await source.size('y', context), undefined)
  }
})

test('what comes after the end is no member', async (t) => {
  for (const pack of [(bytes: Buffer) => bytes, gzipSync]) {
    const source = files(t, pack(Buffer.concat([await header(), content, end, await header([0, 'y']), content, end])))
    assert.equal(await source.size('x', context), 5)
    assert.equal(await source.size('y', context), undefined)
  }
})

test('a gigabyte of zeros after the end is not looked at', async (t) => {
  const source = files(t, await header(), content, end)
  truncateSync(source.path, 2 ** 30)
  assert.equal(await source.size('x', context), 5)
})

test('sizes beyond the archive and numbers that are none are one error', async (t) => {
  const sizes = [
    '77777777777 ',
    Buffer.from('80000000ffffffffffffffff', 'hex'),
    Buffer.from('8fffffffffffffffffffffff', 'hex'),
    Buffer.from('ffffffffffffffffffffff00', 'hex'),
    'hello',
  ]
  for (const size of sizes) {
    for (const pack of [(bytes: Buffer) => bytes, gzipSync]) {
      const source = files(t, pack(Buffer.concat([await header([sizeField, size]), content, end])))
      await refused(readDocument(source, 'x', context), { code: 'archive', message: /./, path: source.path })
    }
  }
})

test('sparse files, devices and folders are no documents', async (t) => {
  for (const type of ['S', '3', '4', '5', '6', 'Z']) {
    const source = files(t, await header([typeField, type], [sizeField, '00000000000 ']), end)
    await refused(readDocument(source, 'x', context), {
      code: 'archive',
      message: /no regular file/,
      path: source.path,
    })
  }
})

test('a header longer than any real one is refused', async (t) => {
  const long = await header([typeField, 'x'], [sizeField, '00077777777 '])
  const source = files(t, long, Buffer.alloc(2 ** 24), end)
  await refused(readDocument(source, 'x', context), { code: 'archive', message: /more than 4 MiB/, path: source.path })
})

test('a name that leaves the archive names nothing', async (t) => {
  const names: [string, boolean][] = [
    ['../x', false],
    ['a/../../x', false],
    ['/x', true],
    ['./a/.././/x', true],
  ]
  for (const [name, isThere] of names) {
    const source = files(t, await header([0, name]), content, end)
    assert.equal(await source.size('x', context), isThere ? 5 : undefined, name)
  }
})
