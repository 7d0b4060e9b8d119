import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ErrorCode } from '../../../src/errors.ts'
import { ociArchiveSource } from '../../../src/source/oci-archive/archive-source.ts'
import { assembleImage } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { archive, layoutFiles } from '../archives.ts'
import { context, folder, here, readBlob, readWhole, refused } from '../reading-files.ts'

const layers = [
  await packLayer({ a: 'one' }),
  await packLayer({ b: Buffer.alloc(3_000_000, 'b') }),
  await packLayer({ c: 'three' }),
]
const image = assembleImage(layers)
const files = layoutFiles({ image, name: '3.5' })

function open(path: string, name?: string) {
  return ociArchiveSource({ transport: 'oci-archive', path, image: name })
}

for (const compression of ['none', 'gzip', 'zstd'] as const) {
  test(`an archive with compression ${compression} is read`, async (t) => {
    const path = await archive(t, files, { compression })
    const { digest, reference } = await readWhole(open(path))
    assert.equal(digest, image.digest)
    assert.equal(reference, 'localhost/etcd:3.5')
  })

  test(`layers of an archive with compression ${compression} are read in any order, side by side, and from any byte on`, async (t) => {
    const path = await archive(t, files, { compression })
    await using source = open(path)
    const { manifest } = await source.manifest(here, context)
    const order = manifest.layers.map((_, index) => index)
    const read = async (index: number, offset = 0) => {
      const descriptor = manifest.layers[index]
      assert.ok(descriptor)
      const bytes = await readBlob(source, descriptor, { offset })
      assert.ok(bytes.equals(layers[index]?.bytes.subarray(offset) ?? Buffer.alloc(0)))
    }
    for (const index of order.toReversed()) await read(index, index)
    await Promise.all(order.map((index) => read(index)))
    await Promise.all(order.toReversed().map((index) => read(index, 3)))
    assert.equal(source.forwardOrder?.(manifest.layers) === undefined, compression === 'none')
  })
}

test('the layers of a compressed archive are wanted in the order in which they lie there', async (t) => {
  const reversed = Object.fromEntries(Object.entries(files).toReversed())
  const source = open(await archive(t, reversed, { compression: 'gzip' }))
  const { manifest } = await source.manifest(here, context)
  assert.deepEqual(source.forwardOrder?.(manifest.layers), manifest.layers.toReversed())
  await source[Symbol.asyncDispose]()
})

test('a reader that stops in the midst leaves nothing behind that the next one meets', async (t) => {
  await using source = open(await archive(t, files, { compression: 'gzip' }))
  const { manifest } = await source.manifest(here, context)
  for (const descriptor of manifest.layers) {
    for await (const _bytes of source.blob(descriptor, context)) break
    assert.equal((await readBlob(source, descriptor)).length, descriptor.size)
  }
})

test('GNU’s and other programs’ archives are read, with ./ before the names and long ones', async (t) => {
  const path = folder(t)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, 'x', name, '..'), { recursive: true })
    writeFileSync(join(path, 'x', name), content)
  }
  for (const format of ['gnu', 'pax', 'ustar', 'v7']) {
    const file = join(path, `${format}.tar`)
    execFileSync('tar', [`--format=${format}`, '-C', join(path, 'x'), '-cf', file, '.'])
    assert.equal((await readWhole(open(file))).digest, image.digest)
  }
})

test('of members of one name the last one counts, as when it is unpacked', async (t) => {
  const other = assembleImage([await packLayer({ other: 'x' })])
  const [first, last] = [layoutFiles({ image }), layoutFiles({ image: other })]
  for (const compression of ['none', 'gzip'] as const) {
    const parts = await Promise.all([first, last].map((each) => packLayer(each, { compression: 'none' })))
    const path = await archive(t, {}, { compression })
    const whole = Buffer.concat([
      parts[0]?.bytes.subarray(0, -1024) ?? Buffer.alloc(0),
      parts[1]?.bytes ?? Buffer.alloc(0),
    ])
    writeFileSync(path, whole)
    if (compression === 'gzip') execFileSync('sh', ['-c', `gzip -c ${path} > ${path}.gz`])
    assert.equal((await readWhole(open(compression === 'gzip' ? `${path}.gz` : path))).digest, other.digest)
  }
})

test('a signal ends the reading of an archive', async (t) => {
  for (const compression of ['none', 'gzip'] as const) {
    const signal = AbortSignal.abort()
    const source = open(await archive(t, files, { compression }))
    await assert.rejects(source.manifest(here, { ...context, signal }), { code: 'interrupted' })
    await source[Symbol.asyncDispose]()
  }
})

test('a signal ends the reading of a large member that nobody asked for', async (t) => {
  const path = await archive(t, { large: Buffer.alloc(50_000_000), ...files }, { compression: 'gzip' })
  await using source = open(path)
  const controller = new AbortController()
  const started = source.manifest(here, { ...context, signal: controller.signal })
  setImmediate(() => controller.abort())
  await assert.rejects(started, { code: 'interrupted' })
})

test('what is no archive is refused, naming what it is', async (t) => {
  const path = folder(t)
  const at = (name: string) => join(path, name)
  writeFileSync(at('empty'), '')
  writeFileSync(at('text'), 'hello\n'.repeat(1000))
  writeFileSync(at('short'), 'hello')
  writeFileSync(at('zeros'), Buffer.alloc(10_240))
  writeFileSync(at('xz'), Buffer.from('fd377a585a000000', 'hex'))
  mkdirSync(at('folder'))
  execFileSync('mkfifo', [at('pipe')])
  const found: [string, ErrorCode, RegExp][] = [
    [at('missing'), 'archive', /does not exist/],
    [at('empty'), 'archive', /is empty/],
    [at('text'), 'archive', /no tar archive/],
    [at('short'), 'archive', /ends in the midst/],
    [at('zeros'), 'archive', /lacks the file oci-layout/],
    [at('xz'), 'archive', /compressed with xz/],
    [at('folder'), 'archive', /is a folder/],
    [at('pipe'), 'archive', /is a pipe/],
    ['/dev/zero', 'archive', /is a device/],
    [join(at('text'), 'x'), 'archive', /does not exist/],
    ['-', 'archive', /standard input/],
  ]
  for (const [file, code, message] of found) await refused(readWhole(open(file)), { code, message, path: file })
})

test('an archive that is cut short anywhere is one error', async (t) => {
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const path = await archive(t, files, { compression, name: `${compression}.tar` })
    const whole = readFileSync(path)
    for (const part of [0.1, 0.4, 0.6, 0.9]) {
      truncateSync(path, Math.floor(whole.length * part))
      await refused(readWhole(open(path)), { code: 'archive', message: /./, path })
      writeFileSync(path, whole)
    }
  }
})

test('compressed data that is damaged is one error', async (t) => {
  const path = await archive(t, files, { compression: 'gzip' })
  const bytes = readFileSync(path)
  bytes.fill(0xff, 1000, 1064)
  writeFileSync(path, bytes)
  await refused(readWhole(open(path)), { code: 'archive', message: /damaged compressed data/, path })
})

test('members that are no files, or links out of the archive, are refused', async (t) => {
  const blob = Object.keys(files)[0] ?? ''
  const spoilt: [object, RegExp][] = [
    [{ type: 'directory' }, /no regular file/],
    [{ type: 'character-device', device: { major: 1, minor: 5 } }, /no regular file/],
    [{ target: '/etc/hostname' }, /link to what it does not hold/],
    [{ target: '../../../../etc/hostname' }, /link to what it does not hold/],
    [{ type: 'link', target: '../etc/hostname' }, /link to what it does not hold/],
    [{ target: blob.replace(/.*\//, '') }, /leads in circles/],
  ]
  for (const compression of ['none', 'gzip'] as const) {
    for (const [file, message] of spoilt) {
      const path = await archive(t, { ...files, [blob]: file }, { compression })
      await refused(readWhole(open(path)), { code: 'archive', message, path })
    }
  }
})

test('a document of a gigabyte is not read', async (t) => {
  for (const compression of ['none', 'gzip'] as const) {
    const path = await archive(t, { ...files, 'index.json': Buffer.alloc(5_000_000, '[') }, { compression })
    await refused(readWhole(open(path)), { code: 'limit', message: /index.json .*5000000 bytes/, path })
  }
})
