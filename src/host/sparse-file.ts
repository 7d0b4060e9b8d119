import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { contentDigest } from './content-digest.ts'
import { cloneContent, copyRange, seekDataOrHole } from './system-calls.ts'

/** Bytes of a file that are stored; between such segments, and after the last one, are holes. */
export interface Segment {
  readonly start: number
  /** The first byte after it. */
  readonly end: number
}

/** Where an open file has data, in order: lseek(2), SEEK_DATA. All of it, on a file system that does not tell. */
export function* dataSegments(fd: number, size: number): Generator<Segment> {
  for (let end = 0; end < size; ) {
    const start = seekDataOrHole(fd, end, 'data')
    if (start === undefined || start >= size) return
    end = Math.min(seekDataOrHole(fd, start, 'hole') ?? size, size)
    yield { start, end }
  }
}

/** Whether a file takes less room than it has bytes. */
export function isSparse({ blocks, size }: Pick<Stats, 'blocks' | 'size'>): boolean {
  return blocks * 512 < size
}

/** The `contentDigest` of an open file, without reading its holes. @throws the kernel's error */
export function hashSparseFile(fd: number): { size: number; digest: string } {
  const digest = contentDigest()
  const size = sizeOf(fd)
  let position = 0
  for (const { start, end } of dataSegments(fd, size)) {
    digest.zeros(start - position)
    for (position = start; position < end; ) {
      const length = readSync(fd, buffer, 0, Math.min(buffer.length, end - position), position)
      // It has become shorter meanwhile.
      if (length === 0) return { size: position, digest: digest.end() }
      digest.update(buffer.subarray(0, length))
      position += length
    }
  }
  digest.zeros(size - position)
  return { size, digest: digest.end() }
}

/**
 * Makes a file with the content of another, of mode 0600. Holes stay holes, and are not read. A file that cannot be made whole
 * is removed.
 *
 * @param options.clone whether to share all blocks where the file system can.
 * @throws the kernel's error, `EEXIST` when there is one of that name.
 */
export function copyFileWithHoles(
  source: string | Buffer,
  target: string | Buffer,
  { clone }: { clone: boolean },
): void {
  const from = openSync(source, 'r')
  try {
    const to = openSync(target, 'wx', 0o600)
    let isWhole = false
    try {
      copyOpenFile(from, to, { clone })
      isWhole = true
    } finally {
      closeSync(to)
      if (!isWhole) unlinkSync(target)
    }
  } finally {
    closeSync(from)
  }
}

/** As `copyFileWithHoles`, into a file that is open and empty. */
export function copyOpenFile(from: number, to: number, { clone }: { clone: boolean }): void {
  if (!clone || !hasCloned(from, to)) copySparseFile(from, to)
}

/** As `contentDigest`, of a file by its name. @throws the kernel's error */
export function fileDigest(path: string | Buffer): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return hashSparseFile(fd).digest
  } finally {
    closeSync(fd)
  }
}

function copySparseFile(from: number, to: number): void {
  const size = sizeOf(from)
  for (const { start, end } of dataSegments(from, size)) {
    for (let position = start; position < end; ) {
      const length = copyPiece(from, to, { position, length: Math.min(longestPiece, end - position) })
      // It has become shorter meanwhile.
      if (length === 0) break
      position += length
    }
  }
  ftruncateSync(to, size)
}

/** Bytes that are copied at once: whoever ends a thread does not wait long for it. */
const longestPiece = 16 * 1024 * 1024

function copyPiece(from: number, to: number, { position, length }: { position: number; length: number }): number {
  const copied = copyRange(from, to, { position, length })
  if (copied !== undefined) return copied
  const got = readSync(from, buffer, 0, Math.min(buffer.length, length), position)
  for (let done = 0; done < got; ) done += writeSync(to, buffer, done, got - done, position + done)
  return got
}

function hasCloned(from: number, to: number): boolean {
  try {
    cloneContent(from, to)
    return true
  } catch (error) {
    if (!cannotClone.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return false
  }
}

const cannotClone = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM'])

function sizeOf(fd: number): number {
  return fstatSync(fd).size
}

/** Of this thread: a core's cache holds it. */
const buffer = Buffer.allocUnsafeSlow(512 * 1024)
