import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { ForerunError } from '../../src/errors.ts'
import type { Digest } from '../../src/image/digest.ts'
import { defaultLayerLimits, type LayerLimits } from '../../src/image/layer-limits.ts'
import { readLayer } from '../../src/layer/read-layer.ts'
import { endOfArchive, inPieces, member, recorder, sha256 } from './archive.ts'

interface Fault {
  size?: number
  digest?: Digest
  diffId?: Digest
  limits?: Partial<LayerLimits>
  signal?: AbortSignal
  piece?: number
}

async function read(blob: Buffer, archive: Buffer, fault: Fault = {}) {
  const receiver = recorder()
  const received: number[] = []
  const descriptor = { digest: fault.digest ?? sha256(blob), size: fault.size ?? blob.length }
  const result = await readLayer(
    inPieces(blob, fault.piece ?? 1000),
    { descriptor, diffId: fault.diffId ?? sha256(archive) },
    {
      receiver,
      limits: { ...defaultLayerLimits, ...fault.limits },
      onReceived: (bytes) => received.push(bytes),
      ...(fault.signal === undefined ? {} : { signal: fault.signal }),
    },
  )
  return { result, received, recorded: receiver.recorded }
}

async function refuses(blob: Buffer, archive: Buffer, expected: { code: string; message: RegExp; fault?: Fault }) {
  const { code, message, fault } = expected
  await assert.rejects(read(blob, archive, fault), (error) => {
    assert.ok(error instanceof ForerunError, String(error))
    assert.match(error.message, message)
    assert.equal(error.code, code)
    assert.ok(error.hint)
    return true
  })
}

const content = Buffer.concat([randomBytes(2000), Buffer.alloc(48_000, 'content ')])
const archive = Buffer.concat([
  member({ name: 'a' }, content),
  member({ name: 'b' }, 'b'),
  endOfArchive,
  Buffer.alloc(9000),
])
const other: Digest = `sha256:${'0'.repeat(64)}`

describe('a layer is read', () => {
  const forms: [string, Buffer][] = [
    ['plain', archive],
    ['by gzip', gzipSync(archive)],
    ['by zstd', zstdCompressSync(archive)],
    [
      'of two gzip members and zeros',
      Buffer.concat([gzipSync(archive.subarray(0, 777)), gzipSync(archive.subarray(777)), Buffer.alloc(7000)]),
    ],
    [
      'of two zstd frames',
      Buffer.concat([zstdCompressSync(archive.subarray(0, 777)), zstdCompressSync(archive.subarray(777))]),
    ],
  ]
  for (const [form, blob] of forms) {
    for (const piece of [1, 13, 1000, blob.length]) {
      if (piece === 1 && blob.length > 20_000) continue
      test(`${form}, in pieces of ${piece} bytes`, async () => {
        const { result, received, recorded } = await read(blob, archive, { piece })
        assert.deepEqual(result, { entries: 2, uncompressedSize: archive.length })
        assert.equal(received.at(-1), blob.length)
        assert.deepEqual(
          recorded.map(({ entry, content }) => [entry.path, content.length]),
          [
            ['a', 50_000],
            ['b', 1],
          ],
        )
      })
    }
  }
  test('with a digest of sha512', async () => {
    const digest: Digest = `sha512:${createHash('sha512').update(archive).digest('hex')}`
    await read(archive, archive, { digest, diffId: digest })
  })
  test('that holds nothing at all', async () => {
    assert.deepEqual((await read(endOfArchive, endOfArchive)).result, { entries: 0, uncompressedSize: 1024 })
    assert.deepEqual((await read(Buffer.alloc(0), Buffer.alloc(0))).result, { entries: 0, uncompressedSize: 0 })
  })
})

describe('bytes that are not those of the descriptor are refused', () => {
  const blob = gzipSync(archive)
  test('another digest', () =>
    refuses(blob, archive, {
      code: 'digest',
      message: /^blob sha256:0+ has the digest sha256:[0-9a-f]{64}$/,
      fault: { digest: other },
    }))
  test('another diff id', () =>
    refuses(blob, archive, {
      code: 'digest',
      message: /has the diff id sha256:.*, not sha256:0+$/,
      fault: { diffId: other },
    }))
  test('too few', () =>
    refuses(blob, archive, {
      code: 'digest',
      message: new RegExp(`should have ${blob.length + 1} bytes, but the source sent ${blob.length}$`),
      fault: { size: blob.length + 1 },
    }))
  test('too many', () =>
    refuses(blob, archive, { code: 'digest', message: /should have 3 bytes, but more came/, fault: { size: 3 } }))
  test('a torn transfer is no malformed layer', () => {
    return refuses(blob.subarray(0, 900), archive, {
      code: 'digest',
      message: /the source sent 900/,
      fault: { size: blob.length, digest: sha256(blob) },
    })
  })
  test('a damaged transfer is no malformed layer', async () => {
    for (const damaged of [Buffer.from(blob), Buffer.from(archive), zstdCompressSync(archive)]) {
      const digest = sha256(damaged)
      damaged.fill(0xaa, 20, 60)
      await refuses(damaged, archive, { code: 'digest', message: /has the digest/, fault: { digest } })
    }
  })
})

describe('a malformed layer is refused, though its digest is right', () => {
  test('gzip that is cut', () =>
    refuses(gzipSync(archive).subarray(0, -9), archive, {
      code: 'layer',
      message: /^layer sha256:[0-9a-f]{64}: the compressed stream is truncated, at byte \d+ of the blob$/,
    }))
  test('gzip that is damaged', () => {
    const blob = gzipSync(archive)
    blob.fill(0xaa, 20, 60)
    return refuses(blob, archive, { code: 'layer', message: /the compressed stream is damaged/ })
  })
  test('gzip followed by garbage', () =>
    refuses(Buffer.concat([gzipSync(archive), Buffer.from('garbage')]), archive, { code: 'layer', message: /damaged/ }))
  test('zstd that is cut, in its first frame, its last one, or a skippable one', async () => {
    const frame = zstdCompressSync(archive)
    const skippable = Buffer.from('502a4d180500000068656c6c6f', 'hex')
    for (const blob of [
      frame.subarray(0, -5),
      frame.subarray(0, 5),
      Buffer.concat([frame, frame.subarray(0, -1)]),
      Buffer.concat([frame, skippable.subarray(0, -1)]),
    ]) {
      for (const piece of [7, blob.length])
        await refuses(blob, archive, { code: 'layer', message: /truncated/, fault: { piece } })
    }
  })
  test('zstd that is damaged, or followed by garbage', async () => {
    const frame = zstdCompressSync(archive)
    await refuses(Buffer.concat([frame, Buffer.from('garbage')]), archive, { code: 'layer', message: /no zstd frame/ })
    frame.fill(0xaa, 9, 1000)
    await refuses(frame, archive, { code: 'layer', message: /damaged|no zstd frame/ })
  })
  test('an archive that is cut', () => {
    const cut = archive.subarray(0, 5000)
    return refuses(gzipSync(cut), cut, {
      code: 'layer',
      message: /the archive is truncated, at byte 5000 of its archive$/,
    })
  })
  test('garbage', () => {
    const garbage = Buffer.alloc(3000, 'garbage')
    return refuses(garbage, garbage, { code: 'layer', message: /no tar header .* at byte 0 of its archive$/ })
  })
  test('xz', () => {
    const xz = Buffer.concat([Buffer.from('fd377a585a00', 'hex'), Buffer.alloc(100)])
    return refuses(xz, archive, { code: 'layer', message: /compressed with xz/ })
  })
})

test('a bomb is refused before it has gone off', async () => {
  const zeros = zstdCompressSync(Buffer.alloc(2 ** 22))
  const file = zstdCompressSync(member({ name: 'zeros', size: 2 ** 30 }))
  const bomb = Buffer.concat([file, ...Array.from({ length: 256 }, () => zeros)])
  await refuses(bomb, archive, { code: 'limit', message: /expands to more than 1200 times its size/ })
})

describe('the source is released', () => {
  async function* endless(state: { released: boolean }): AsyncGenerator<Buffer> {
    try {
      for (const blob = gzipSync(archive); ; ) yield blob
    } finally {
      state.released = true
    }
  }
  const reading = (
    state: { released: boolean },
    more: { signal?: AbortSignal; onReceived?: (bytes: number) => void },
    receiver = recorder(),
  ) =>
    readLayer(
      endless(state),
      { descriptor: { digest: other, size: 10 ** 9 }, diffId: other },
      { receiver, limits: defaultLayerLimits, ...more },
    )

  test('when the signal aborts', async () => {
    const state = { released: false }
    const controller = new AbortController()
    const reason = new ForerunError('interrupted', 'Ctrl-C')
    const onReceived = (bytes: number) => bytes > 5000 && controller.abort(reason)
    await assert.rejects(reading(state, { signal: controller.signal, onReceived }), reason)
    assert.ok(state.released)
    await assert.rejects(reading(state, { signal: AbortSignal.abort() }), { code: 'interrupted' })
  })
  test('when Ctrl-C comes, and the source has everything at hand', async () => {
    const state = { released: false }
    const controller = new AbortController()
    const reason = new ForerunError('interrupted', 'Ctrl-C')
    setImmediate(() => controller.abort(reason))
    await assert.rejects(reading(state, { signal: controller.signal }), reason)
    assert.ok(state.released)
  })
  test('when the receiver fails', async () => {
    const state = { released: false }
    const failure = new Error('no space left')
    const receiver = {
      ...recorder(),
      content: () => {
        throw failure
      },
    }
    await assert.rejects(reading(state, {}, receiver), failure)
    assert.ok(state.released)
  })
  test('when the source itself fails, with its error', async () => {
    const failure = new ForerunError('registry', 'connection lost')
    for (const blob of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
      async function* failing() {
        yield blob.subarray(0, 50)
        throw failure
      }
      const result = readLayer(
        failing(),
        { descriptor: { digest: other, size: 10 ** 9 }, diffId: other },
        { receiver: recorder(), limits: defaultLayerLimits },
      )
      await assert.rejects(result, failure)
    }
  })
})
