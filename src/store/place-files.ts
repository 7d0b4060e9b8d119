import { ForerunError } from '../errors.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { type ByteString, displayPath, type Metadata } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'
import { fileMakers, LargeCopy, type PlaceObject } from './checkout-method.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'
import { objectPath } from './object.ts'

export interface FileToPlace {
  readonly object: ObjectId
  /** Of a name that does not exist, in a folder that does. */
  readonly path: ByteString
  readonly metadata: Metadata
  /** Whether it has to be an inode of its own: another file of the checkout has one that is just like it. */
  readonly another: boolean
}

/** Where the files of a checkout come from, and how. */
export interface FilePlan {
  readonly store: string
  readonly method: CheckoutMethod
  /** As for `fileMakers`. */
  readonly shared: boolean
}

/** Files of one checkout, in whatever order. What it consists of can be sent to another thread. */
export interface FileBatch extends FilePlan {
  readonly files: readonly FileToPlace[]
}

/**
 * @param options.largestCopy bytes: a file that has more, and would have to be copied, is left; default: no limit.
 * @returns the files that were left.
 * @throws ForerunError `store` when an object is missing, `checkout` where the method cannot work.
 */
export function placeFiles(
  { store, method, shared, files }: FileBatch,
  { largestCopy = Number.POSITIVE_INFINITY }: { largestCopy?: number } = {},
): FileToPlace[] {
  const { place, placeAnother } = fileMakers(method, shared, { largestCopy })
  return files.filter((file) => {
    try {
      placeFile(store, file, file.another ? placeAnother : place)
      return false
    } catch (error) {
      if (error instanceof LargeCopy) return true
      throw error
    }
  })
}

/** As `placeFiles`. */
export function placeFile(
  store: string,
  { object, path, metadata }: Omit<FileToPlace, 'another'>,
  place: PlaceObject,
): void {
  using reached = reachName(path)
  try {
    place(objectPath(store, object), filePath(reached.path), metadata)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ForerunError('store', `the store has lost the object of '${displayPath(path)}'`, {
      cause,
      hint: 'Remove the image from the store and pull it again: forerun images delete IMAGE; forerun pull IMAGE.',
    })
  }
}
