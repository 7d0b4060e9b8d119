import { closeSync, constants, copyFileSync, linkSync, openSync, unlinkSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { cloneContent } from '../host/system-calls.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { byteString, type Metadata } from '../tree/entry.ts'
import { applyMetadata, applyMetadataToOpenFile } from './metadata.ts'

/** Places one object at a path that does not exist. Paths as Node takes them. */
export type PlaceObject = (object: string, path: string | Buffer, metadata: Metadata) => void

/**
 * @param shared whether the checkout may hold the very inodes of the store: only where the container cannot write to them.
 * @throws ForerunError `checkout`, when called, where a method that was asked for cannot work.
 */
export function placeObjects(method: CheckoutMethod, shared: boolean): PlaceObject {
  if (method === 'copy') return copy
  if (method === 'reflink') return (...file) => attempt('reflink', () => reflink(...file))
  if (method === 'hardlink') return (...file) => attempt('hardlink', () => linkOrCopy(...file))
  let remaining = shared ? [reflink, linkOrCopy, copy] : [reflink, copy]
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

function copy(object: string, path: string | Buffer, metadata: Metadata): void {
  copyFileSync(object, path, constants.COPYFILE_EXCL)
  applyMetadata(toByteString(path), metadata, { symlink: false })
}

function reflink(object: string, path: string | Buffer, metadata: Metadata): void {
  const from = openSync(object, constants.O_RDONLY)
  try {
    const to = openSync(path, 'wx', 0o600)
    try {
      cloneContent(from, to)
      applyMetadataToOpenFile(to, { path: toByteString(path), metadata })
    } catch (error) {
      unlinkSync(path)
      throw error
    } finally {
      closeSync(to)
    }
  } finally {
    closeSync(from)
  }
}

/** An inode has room for a number of names (65,000 on ext4); beyond it the file is copied. */
function linkOrCopy(object: string, path: string | Buffer, metadata: Metadata): void {
  try {
    linkSync(object, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMLINK') throw error
    copy(object, path, metadata)
  }
}

function attempt(method: CheckoutMethod, place: () => void): void {
  try {
    place()
  } catch (cause) {
    if (!cannot(cause)) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const [reason, hint] = code === 'EXDEV' ? apart : impossible
    throw new ForerunError('checkout', `a checkout by ${method} cannot be made: ${reason} (${code})`, { cause, hint })
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
