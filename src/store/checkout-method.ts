import { constants, copyFileSync, linkSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { byteString, type Metadata } from '../tree/entry.ts'
import { applyMetadata } from './metadata.ts'

/** How a file of a checkout comes out of the store. `auto` keeps the first that works of reflink, hard link and copy. */
export type CheckoutMethod = 'auto' | 'reflink' | 'hardlink' | 'copy'

/** Places one object at a path that does not exist. Paths as Node takes them. */
export type PlaceObject = (object: string, path: string | Buffer, metadata: Metadata) => void

/**
 * @param shared whether the checkout may hold the very inodes of the store: only under a root that is mounted read-only.
 * @throws ForerunError `store`, when called, where a method that was asked for cannot work.
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
  copyFileSync(object, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
  applyMetadata(toByteString(path), metadata, { symlink: false })
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
    const message = `the file system cannot make a checkout by ${method} (${(cause as NodeJS.ErrnoException).code})`
    throw new ForerunError('store', message, {
      cause,
      hint: "Set 'checkout = auto' under [containers] in forerun.conf, or keep store and containers on one file system.",
    })
  }
}

function cannot(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code !== undefined && unsupported.has(code)
}

const unsupported = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM'])

function toByteString(path: string | Buffer): string {
  return typeof path === 'string' ? byteString(path) : path.toString('latin1')
}
