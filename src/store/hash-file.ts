import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { ByteString } from '../tree/entry.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'

/** The content of a regular file: its length in bytes, and its SHA-256 in hexadecimal. */
export interface HashedContent {
  readonly size: number
  readonly sha256: string
}

/** Reads a file whole, by pieces, without following a link at its end. @throws the kernel's error. */
export function hashFile(path: ByteString): HashedContent {
  using reached = reachName(path)
  const fd = openSync(filePath(reached.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const hash = createHash('sha256')
    let size = 0
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null)
      if (length === 0) return { size, sha256: hash.digest('hex') }
      hash.update(length === buffer.length ? buffer : buffer.subarray(0, length))
      size += length
    }
  } finally {
    closeSync(fd)
  }
}

/** As `hashFile`, one after the other; undefined where the kernel could not read. */
export function hashFiles(paths: readonly ByteString[]): (HashedContent | undefined)[] {
  return paths.map((path) => {
    try {
      return hashFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      return undefined
    }
  })
}

/** Of this thread: a core's cache holds it. */
const buffer = Buffer.allocUnsafeSlow(512 * 1024)
