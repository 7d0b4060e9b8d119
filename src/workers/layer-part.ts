import { type EncodedEntries, encodedEntries } from '../store/layer-tree.ts'
import { type LayerWriter, layerWriter, type WriterWork } from '../store/layer-writer.ts'

/** Some of a layer's entries, whose files are objects now: with the parts of the other writers it is the whole. */
export interface LayerPart {
  readonly entries: EncodedEntries
  /** Bytes of the files. */
  readonly size: number
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
  const writer = layerWriter(store, folder, {
    ...(wants && { wants }),
    take(entry, index) {
      encoded.add(entry, index)
      if (entry.kind === 'file') size += entry.size
    },
  })
  return {
    writer,
    end: () => ({ entries: encoded.end(), size }),
    [Symbol.dispose]: () => writer[Symbol.dispose](),
  }
}
