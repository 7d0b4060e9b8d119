import { type EncodedEntries, encodedEntries } from '../store/layer-tree.ts'
import { type LayerWriter, layerWriter, type WriterWork } from '../store/layer-writer.ts'
import type { ByteString } from '../tree/entry.ts'

/** Some of a layer's entries, whose files are objects now: with the parts of the other writers it is the whole. */
export interface LayerPart {
  readonly entries: EncodedEntries
  /** Bytes of the files. */
  readonly size: number
  /** Names of extended attributes that Linux could not hold: a few, if there are many. */
  readonly leftOut: readonly ByteString[]
}

export interface LayerPartWriter extends Disposable {
  readonly writer: LayerWriter
  /** To be called once, after the last entry. */
  end(): LayerPart
}

/** Writes objects into a folder of a staging. @param wants as for `layerWriter`. */
export function layerPartWriter(
  store: string,
  folder: string,
  { wants }: Pick<WriterWork, 'wants'> = {},
): LayerPartWriter {
  const encoded = encodedEntries()
  let size = 0
  const leftOut = new Set<ByteString>()
  const writer = layerWriter(store, folder, {
    ...(wants && { wants }),
    take(entry, index) {
      encoded.add(entry, index)
      if (entry.kind === 'file') size += entry.size
    },
    leftOut: (attribute) => leftOut.size < mostNames && leftOut.add(attribute),
  })
  return {
    writer,
    end: () => ({ entries: encoded.end(), size, leftOut: [...leftOut] }),
    [Symbol.dispose]: () => writer[Symbol.dispose](),
  }
}

/** As many as somebody would read. */
const mostNames = 4
