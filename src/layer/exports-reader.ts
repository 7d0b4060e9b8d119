import { largestText, refuseLargeText } from '../image/text-limits.ts'
import { displayPath, type LayerEntry, type LayerReceiver } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'

/** Takes the names of a layer, and of its content only what is metadata for the host; writes nothing. */
export interface ExportsReader extends LayerReceiver {
  /** A file's `object` is `PREFIX/N`, where N counts the entries of the layer. */
  readonly entries: readonly StoredEntry[]
  /** By object: the content of the files that were kept. */
  readonly contents: ReadonlyMap<string, Buffer>
}

/** Bytes of one layer that are kept on the chance that they matter. */
const mostKept = 32 * 1024 * 1024

/**
 * @param options.wanted objects whose content to keep; undefined: that of the files below `/exports` which are not too large,
 * as far as there is room for them.
 * @throws ForerunError `limit`, when it comes to it, for a wanted file with more bytes than `largestText`.
 */
export function exportsReader({ prefix, wanted }: { prefix: string; wanted?: ReadonlySet<string> }): ExportsReader {
  const entries: StoredEntry[] = []
  const contents = new Map<string, Buffer>()
  let room = mostKept
  let kept: { content: Buffer; length: number } | undefined

  function keeps(entry: LayerEntry & { kind: 'file' }, object: string): boolean {
    if (wanted === undefined) return entry.path.startsWith('exports/') && entry.size <= Math.min(room, largestText)
    if (wanted.has(object)) refuseLargeText(`/${displayPath(entry.path)}`, entry.size)
    return wanted.has(object)
  }

  return {
    entries,
    contents,
    entry(entry) {
      if (entry.kind !== 'file') {
        entries.push(entry)
        return
      }
      const object = `${prefix}/${entries.length}`
      entries.push({ ...entry, object })
      if (!keeps(entry, object)) return
      room -= entry.size
      kept = { content: Buffer.alloc(entry.size), length: 0 }
      contents.set(object, kept.content)
    },
    content(bytes) {
      if (kept !== undefined) kept.length += bytes.copy(kept.content, kept.length)
    },
    hole(length) {
      if (kept !== undefined) kept.length += length
    },
    endFile() {
      kept = undefined
    },
  }
}
