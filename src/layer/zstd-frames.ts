import { LayerFault } from './fault.ts'

/** Cuts a zstd stream where its frames end. Both functions throw LayerFault. */
export interface ZstdFrames {
  /** The bytes in pieces that hold of one frame each, without skippable frames. */
  pieces(bytes: Buffer): Buffer[]
  /** To be called once, after the last bytes. */
  end(): void
}

/**
 * Node's decompressor drops, without an error, what follows the end of a frame in the same write; so frames are
 * followed here by the lengths that they state (RFC 8878, section 3), and each piece written by itself. This is also
 * what tells that the last frame is not whole.
 */
export function zstdFrames(): ZstdFrames {
  const field = Buffer.alloc(8)
  let filled = 0
  /** Bytes of `field` that `next` waits for. */
  let wanted = 4
  let next: () => void = magic
  /** Bytes to pass over until then. */
  let passing = 0
  let skippable = false
  let checksum = 0
  let frameEnded = false

  function pieces(bytes: Buffer): Buffer[] {
    const found: Buffer[] = []
    let start = 0
    let at = 0
    const cut = () => {
      if (!skippable && at > start) found.push(bytes.subarray(start, at))
      start = at
    }
    while (at < bytes.length) {
      if (passing > 0) {
        const length = Math.min(passing, bytes.length - at)
        passing -= length
        at += length
      } else {
        const length = bytes.copy(field, filled, at, at + wanted - filled)
        filled += length
        at += length
        if (filled < wanted) break
        filled = 0
        next()
      }
      if (passing === 0 && frameEnded) {
        frameEnded = false
        cut()
        skippable = false
      }
    }
    cut()
    return found
  }

  function end(): void {
    if (next !== magic || filled > 0 || passing > 0) throw new LayerFault('the zstd stream is truncated')
  }

  function expect(length: number, act: () => void): void {
    wanted = length
    next = act
  }

  function magic(): void {
    const number = field.readUInt32LE()
    skippable = (number & 0xfffffff0) >>> 0 === 0x184d2a50
    if (skippable) expect(4, skippableSize)
    else if (number === 0xfd2fb528) expect(1, descriptor)
    else throw new LayerFault('bytes that are no zstd frame')
  }

  function skippableSize(): void {
    passing = field.readUInt32LE()
    endFrame()
  }

  function descriptor(): void {
    const flags = field[0] as number
    const singleSegment = (flags & 0x20) !== 0
    checksum = (flags & 0x04) !== 0 ? 4 : 0
    const window = singleSegment ? 0 : 1
    const dictionary = [0, 1, 2, 4][flags & 3] as number
    const contentSize = [singleSegment ? 1 : 0, 2, 4, 8][flags >> 6] as number
    passing = window + dictionary + contentSize
    expect(3, block)
  }

  function block(): void {
    const header = field.readUIntLE(0, 3)
    const type = (header >> 1) & 3
    if (type === reservedType || header >> 3 > maximumBlock) throw new LayerFault('the compressed stream is damaged')
    passing = type === runLengthType ? 1 : header >> 3
    if ((header & 1) !== 0) {
      passing += checksum
      endFrame()
    }
  }

  function endFrame(): void {
    frameEnded = true
    expect(4, magic)
  }

  return { pieces, end }
}

const runLengthType = 1
const reservedType = 3
const maximumBlock = 128 * 1024
