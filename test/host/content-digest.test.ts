import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { contentDigest, hasZeroBlocks } from '../../src/host/content-digest.ts'

const block = 1024 * 1024

/** Of a content in pieces: bytes, or a number of zeros. */
function digestOf(...pieces: (Buffer | number)[]): string {
  const digest = contentDigest()
  for (const piece of pieces) typeof piece === 'number' ? digest.zeros(piece) : digest.update(piece)
  return digest.end()
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}

describe('contentDigest', () => {
  const almost = Buffer.alloc(3 * block)
  almost[0] = 1
  almost[2 * block - 1] = 1
  almost[2 * block] = 1
  const cases = {
    nothing: Buffer.alloc(0),
    'a few zeros': Buffer.alloc(999),
    'a block but for one byte of zeros': Buffer.alloc(block - 1),
    text: Buffer.alloc(5000, 'text'),
    'zeros as far as no block is full of them': almost,
    'zeros over two halves of blocks': Buffer.concat([
      Buffer.alloc(block / 2, 1),
      Buffer.alloc(block),
      Buffer.alloc(block / 2, 1),
    ]),
  }
  for (const [name, bytes] of Object.entries(cases)) {
    it(`is the SHA-256 of ${name}`, () => {
      for (const size of [1000, 65_536, block, 3 * block]) assert.equal(digestOf(...cut(bytes, size)), sha256(bytes))
    })
  }

  it('is the same however the zeros come', () => {
    const x = Buffer.from('x')
    const whole = Buffer.concat([Buffer.alloc(3 * block), x, Buffer.alloc(2 * block + 5), x, Buffer.alloc(block + 77)])
    const expected = digestOf(whole)
    assert.ok(hasZeroBlocks(expected))
    for (const size of [999, 65_536, 300_000, 2 * block]) assert.equal(digestOf(...cut(whole, size)), expected)
    assert.equal(digestOf(3 * block, x, 2 * block + 5, x, block + 77), expected)
    assert.equal(digestOf(block, 2 * block - 1, 1, x, 1000, 2 * block - 995, x, Buffer.alloc(block), 77), expected)
    assert.equal(
      digestOf(Buffer.alloc(100), 3 * block - 100, x, Buffer.alloc(block), block + 5, x, block + 77),
      expected,
    )
  })

  it('tells apart where zeros lie, and how many', () => {
    const x = Buffer.from('x')
    const contents = [
      [block],
      [2 * block],
      [block, x],
      [x, 2 * block],
      [block, x, block],
      [2 * block, x],
      [x, 2 * block - 1, x, block - 1],
      [x, 2 * block - 1, 1, x, block - 2],
    ]
    assert.equal(new Set(contents.map((pieces) => digestOf(...pieces))).size, contents.length)
  })

  it('hands on what a file needs to be whole, and no hole', () => {
    const file = Buffer.alloc(5 * block)
    let written = 0
    const digest = contentDigest((bytes, position) => {
      bytes.copy(file, position)
      written += bytes.length
    })
    const x = Buffer.alloc(100_000, 'x')
    digest.update(x)
    digest.zeros(block)
    digest.update(Buffer.alloc(2 * block))
    digest.update(x)
    digest.zeros(5 * block - 3 * block - 200_000)
    digest.end()
    assert.ok(
      file.equals(Buffer.concat([x, Buffer.alloc(3 * block), x, Buffer.alloc(5 * block - 3 * block - 200_000)])),
    )
    assert.ok(written <= 2 * block)
  })
})
