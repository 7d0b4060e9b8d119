import { ForerunError } from '../errors.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { type ByteString, displayPath, type Metadata } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'
import { fileMakers, type PlaceObject } from './checkout-method.ts'
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

/** @throws ForerunError `store` when an object is missing, `checkout` where the method cannot work. */
export function placeFiles({ store, method, shared, files }: FileBatch): void {
  const { place, placeAnother } = fileMakers(method, shared)
  for (const file of files) placeFile(store, file, file.another ? placeAnother : place)
}

/** As `placeFiles`. */
export function placeFile(
  store: string,
  { object, path, metadata }: Omit<FileToPlace, 'another'>,
  place: PlaceObject,
): void {
  try {
    place(objectPath(store, object), filePath(path), metadata)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ForerunError('store', `the store has lost the object of '${displayPath(path)}'`, {
      cause,
      hint: 'Remove the image from the store and pull it again: forerun images delete IMAGE; forerun pull IMAGE.',
    })
  }
}
