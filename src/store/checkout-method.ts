import { closeSync, constants, copyFileSync, linkSync, openSync, rmSync, statSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { copyFileWithHoles, isSparse } from '../host/sparse-file.ts'
import { cloneContent } from '../host/system-calls.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { byteString, type Metadata } from '../tree/entry.ts'
import { applyMetadata, applyMetadataToOpenFile } from './metadata.ts'

/** Places one object at a path that does not exist. Paths as Node takes them. */
export type PlaceObject = (object: string, path: string | Buffer, metadata: Metadata) => void

/** What makes the files of one checkout. */
export interface FileMakers {
  readonly place: PlaceObject
  /** For a second file that is just like one before: it is no hard link in the image, and must not become one. */
  readonly placeAnother: PlaceObject
}

/**
 * `auto` is hard links where they are allowed, since they take the kernel a third of the time that reflinks take, and what
 * several containers read is in memory once; else reflinks; else copies.
 *
 * @param shared whether the checkout may hold the very inodes of the store: only where the container cannot write to them.
 * @param options.largestCopy bytes: what has more is not copied; default: no limit.
 * @throws ForerunError `checkout`, when called, where a method that was asked for cannot work; LargeCopy, when called.
 */
export function fileMakers(
  method: CheckoutMethod,
  shared: boolean,
  { largestCopy = Number.POSITIVE_INFINITY }: { largestCopy?: number } = {},
): FileMakers {
  const copy: PlaceObject = (...file) => copyObject(largestCopy, ...file)
  if (method === 'copy') return { place: copy, placeAnother: copy }
  const clone = method === 'reflink' ? asked('reflink', reflink) : firstThatWorks([reflink, copy])
  if (method === 'reflink' || (method !== 'hardlink' && !shared)) return { place: clone, placeAnother: clone }
  const link: PlaceObject = (object, path, metadata) => {
    if (!linkUnlessFull(object, path)) clone(object, path, metadata)
  }
  const place = method === 'hardlink' ? asked('hardlink', link) : firstThatWorks([link, clone])
  return { place, placeAnother: clone }
}

/** What cannot work here is tried once. */
function firstThatWorks(ways: readonly PlaceObject[]): PlaceObject {
  let remaining = ways
  return (...file) => {
    for (;;) {
      const [place] = remaining
      try {
        return place?.(...file)
      } catch (error) {
        if (remaining.length === 1 || !cannot(error)) throw error
        remaining = remaining.slice(1)
      }
    }
  }
}

/** Says that a file is too large to be copied while the event loop waits. */
export class LargeCopy extends Error {
  override readonly name = 'LargeCopy'
}

function copyObject(largest: number, object: string, path: string | Buffer, metadata: Metadata): void {
  const status = statSync(object)
  if (status.size > largest) throw new LargeCopy(object)
  // What is short and has no holes the kernel copies in one call.
  if (status.size > shortCopy || isSparse(status)) copyFileWithHoles(object, path, { clone: false })
  else copyFileSync(object, path, constants.COPYFILE_EXCL)
  applyMetadata(toByteString(path), metadata, { symlink: false })
}

function reflink(object: string, path: string | Buffer, metadata: Metadata): void {
  const from = openSync(object, constants.O_RDONLY)
  try {
    const to = openSync(path, 'wx', 0o600)
    let isMade = false
    try {
      cloneContent(from, to)
      applyMetadataToOpenFile(to, { path: toByteString(path), metadata })
      isMade = true
    } finally {
      closeSync(to)
      if (!isMade) rmSync(path, { force: true })
    }
  } finally {
    closeSync(from)
  }
}

/** Bytes. */
const shortCopy = 16 * 1024 * 1024

/** @returns false for an inode that has no room for one more name: ext4 has 65,000. */
function linkUnlessFull(object: string, path: string | Buffer): boolean {
  try {
    linkSync(object, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMLINK') throw error
    return false
  }
}

function asked(method: CheckoutMethod, place: PlaceObject): PlaceObject {
  return (...file) => {
    try {
      place(...file)
    } catch (cause) {
      if (!cannot(cause)) throw cause
      const { code } = cause as NodeJS.ErrnoException
      const [reason, hint] = code === 'EXDEV' ? apart : impossible
      throw new ForerunError('checkout', `a checkout by ${method} cannot be made: ${reason} (${code})`, { cause, hint })
    }
  }
}

const apart = [
  'the store and the containers lie on different file systems',
  'Set [store] path and [containers] path in forerun.conf to one file system, or choose the checkout method auto or copy.',
] as const
const impossible = [
  'their file system does not know how',
  'Choose the checkout method auto, or one that this file system has.',
] as const

function cannot(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code !== undefined && unsupported.has(code)
}

const unsupported = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM'])

function toByteString(path: string | Buffer): string {
  return typeof path === 'string' ? byteString(path) : path.toString('latin1')
}
