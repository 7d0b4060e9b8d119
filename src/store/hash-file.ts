import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { hashSparseFile } from '../host/sparse-file.ts'
import type { ByteString } from '../tree/entry.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'

/** The content of a regular file: its length in bytes, and its SHA-256 in hexadecimal or, hashed with holes, its `contentDigest`. */
export interface HashedContent {
  readonly size: number
  readonly digest: string
}

export interface FileToHash {
  readonly path: ByteString
  /** Whether to hash it as `contentDigest` does, without reading its holes; else byte by byte. */
  readonly holes: boolean
}

/** Reads a file whole, by pieces, without following a link at its end. @throws the kernel's error. */
export function hashFile({ path, holes }: FileToHash): HashedContent {
  using reached = reachName(path)
  const fd = openSync(filePath(reached.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (holes) return hashSparseFile(fd)
    const hash = createHash('sha256')
    let size = 0
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null)
      if (length === 0) return { size, digest: hash.digest('hex') }
      hash.update(length === buffer.length ? buffer : buffer.subarray(0, length))
      size += length
    }
  } finally {
    closeSync(fd)
  }
}

/** As `hashFile`, one after the other; undefined where the kernel could not read. */
export function hashFiles(files: readonly FileToHash[]): (HashedContent | undefined)[] {
  return files.map((file) => {
    try {
      return hashFile(file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      return undefined
    }
  })
}

/** Of this thread: a core's cache holds it. */
const buffer = Buffer.allocUnsafeSlow(512 * 1024)
