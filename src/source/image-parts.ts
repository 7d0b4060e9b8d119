import { ForerunError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { shownWords } from '../image/reference.ts'
import { checkInterrupted, unreadable } from './file-fault.ts'
import type { TransferContext } from './source.ts'

/**
 * The files that make up an image, below a folder or in an archive. Names are relative and written with `/`. Nothing is
 * opened before the first call. Untrusted: what is no regular file inside is refused with `archive`, never followed.
 */
export interface ImageParts extends AsyncDisposable {
  /** Of the folder or the archive, for messages. */
  readonly path: string

  /** Bytes of a file; undefined when there is none of that name. */
  size(name: string, context: TransferContext): Promise<number | undefined>

  /** The bytes of a file that is there, from `offset` on. */
  read(name: string, context: TransferContext, options?: { offset?: number }): AsyncIterable<Buffer>

  /**
   * Where a file comes, when the files can only be read forwards; undefined when they can be read in any order and side by
   * side. To be asked after `size` or `read`. Reading in another order works, and begins anew each time.
   */
  forwardPosition(name: string): number | undefined
}

/** The files in a tar archive. */
export interface ArchiveFiles extends ImageParts {
  /** The first bytes of a file that is there, as many as tell how it is compressed. */
  start(name: string, context: TransferContext): Promise<Buffer>
}

/** A document is held in memory; real ones have some kilobytes. */
export const largestDocument = 4 * 1024 * 1024

/** The whole of a JSON document; undefined when there is none. @throws ForerunError `limit`, `archive`. */
export async function readDocument(
  files: ImageParts,
  name: string,
  context: TransferContext,
): Promise<Buffer | undefined> {
  const size = await files.size(name, context)
  if (size === undefined) return undefined
  if (size > largestDocument) {
    const sizes = `${size} bytes, more than ${largestDocument}`
    throw new ForerunError('limit', `${name} in '${shownWords(files.path)}' has ${sizes}`, {
      hint: 'No image needs that much; check where the file comes from.',
    })
  }
  const bytes = Buffer.concat(await Array.fromAsync(files.read(name, context)))
  if (bytes.length !== size) throw unreadable(files.path, `ends in the midst of ${name}`)
  return bytes
}

/**
 * The bytes of a blob that lies in a file of its own.
 *
 * @throws ForerunError `archive` when it is not there, `digest` when its size is not the descriptor's.
 */
export async function* readBlobFile(
  files: ImageParts,
  { name, descriptor: { digest, size } }: { name: string; descriptor: Descriptor },
  { offset, context }: { offset: number; context: TransferContext },
): AsyncGenerator<Buffer, void, undefined> {
  const found = await files.size(name, context)
  if (found === undefined) {
    throw unreadable(files.path, `lacks ${digest}, a part of the image`, { hint: 'Write the whole image there again.' })
  }
  if (found !== size) {
    throw new ForerunError(
      'digest',
      `${digest} in '${shownWords(files.path)}' has ${found} bytes where its manifest says ${size}`,
      { hint: 'The image is damaged, or was not written to its end. Write it again.' },
    )
  }
  for await (const bytes of files.read(name, context, { offset })) {
    checkInterrupted(context)
    yield bytes
  }
}

/** `ImageSource.forwardOrder` for layers that lie in files. */
export function layersInOrder(
  files: ImageParts,
  layers: readonly Descriptor[],
  nameOf: (layer: Descriptor) => string,
): readonly Descriptor[] | undefined {
  const placed = layers.map((layer) => ({ layer, position: files.forwardPosition(nameOf(layer)) }))
  if (placed.every(({ position }) => position === undefined)) return undefined
  // What is not there comes last, where asking for it tells so.
  const last = Number.MAX_SAFE_INTEGER
  return placed.toSorted((a, b) => (a.position ?? last) - (b.position ?? last)).map(({ layer }) => layer)
}
