import { createHash } from 'node:crypto'

/**
 * Identifies the content of a file, whose holes cost nothing: the SHA-256 of its bytes in hexadecimal, unless whole blocks of it
 * are zeros. Then `holes-` and the SHA-256 of where these lie and of the SHA-256 of the rest. A block is a MiB and begins at a
 * multiple of that, so the content alone decides, however it was stored or arrived.
 */
export interface ContentDigest {
  update(bytes: Buffer): void
  /** So many zeros; at most a block of them is hashed. */
  zeros(length: number): void
  /** To be called once. */
  end(): string
}

/**
 * @param write told of bytes and their position: a file is whole when these are written over nothing, and its size set. What
 * comes as `zeros` is not among them, nor are blocks of zeros.
 */
export function contentDigest(write: (bytes: Buffer, position: number) => void = () => {}): ContentDigest {
  const rest = createHash('sha256')
  const holes = createHash('sha256')
  /** Zero blocks in a row, of which others may follow. */
  const run = { first: 0, count: 0 }
  let hasHoles = false
  let position = 0
  /** Whether the block has had only zeros so far; they are not hashed before something else comes. */
  let isZero = true

  function endRun(): void {
    if (run.count === 0) return
    hasHoles = true
    holes.update(`${run.first} ${run.count}\n`)
    run.count = 0
  }

  function hashHeldBack(): void {
    if (isZero) rest.update(zeroBlock.subarray(0, position % blockSize))
    isZero = false
  }

  /** Goes on within a block, or over whole blocks of zeros. */
  function advance(length: number): void {
    position += length
    if (position % blockSize !== 0) return
    const count = isZero ? Math.ceil(length / blockSize) : 0
    if (count === 0) endRun()
    else if (run.count === 0) run.first = position / blockSize - count
    run.count += count
    isZero = true
  }

  function take(bytes: Buffer): void {
    if (!isZero || !isZeros(bytes)) {
      hashHeldBack()
      rest.update(bytes)
      write(bytes, position)
    }
    advance(bytes.length)
  }

  return {
    update(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const length = Math.min(bytes.length - at, blockSize - (position % blockSize))
        take(bytes.subarray(at, at + length))
        at += length
      }
    },
    zeros(length) {
      const first = Math.min(length, (blockSize - (position % blockSize)) % blockSize)
      if (!isZero) rest.update(zeroBlock.subarray(0, first))
      if (first > 0) advance(first)
      const blocks = Math.floor((length - first) / blockSize) * blockSize
      if (blocks > 0) advance(blocks)
      if (length > first + blocks) advance(length - first - blocks)
    },
    end() {
      if (position % blockSize !== 0) hashHeldBack()
      endRun()
      const sha256 = rest.digest('hex')
      return hasHoles ? `${holesPrefix}${holes.update(sha256).digest('hex')}` : sha256
    },
  }
}

/** Whether whole blocks of a content are zeros, as its digest tells. */
export function hasZeroBlocks(digest: string): boolean {
  return digest.startsWith(holesPrefix)
}

const holesPrefix = 'holes-'

const blockSize = 1024 * 1024
const zeroBlock = Buffer.alloc(blockSize)

function isZeros(bytes: Buffer): boolean {
  return bytes[0] === 0 && bytes.equals(zeroBlock.subarray(0, bytes.length))
}
