import { closeSync, openSync, readSync } from 'node:fs'

/** The beginning of a file, of no more than `limit` bytes, however large it says that it is. */
export function readAtMost(path: string | Buffer, limit: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    const pieces: Buffer[] = []
    for (let room = limit; room > 0; ) {
      const piece = Buffer.allocUnsafe(Math.min(room, 64 * 1024))
      const length = readSync(fd, piece)
      if (length === 0) break
      pieces.push(piece.subarray(0, length))
      room -= length
    }
    return Buffer.concat(pieces)
  } finally {
    closeSync(fd)
  }
}
