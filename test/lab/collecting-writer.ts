import { encodedEntries, encodeLayerTree } from '../../src/store/layer-tree.ts'
import { type LayerWriter, layerWriter } from '../../src/store/layer-writer.ts'
import type { StoredEntry } from '../../src/tree/merge.ts'

/** A writer of whole layers that keeps their entries. */
export function collectingWriter(store: string, folder: string): LayerWriter & { entries: StoredEntry[] } {
  const entries: StoredEntry[] = []
  const writer = layerWriter(store, folder, { take: (entry) => entries.push(entry) })
  return { ...writer, entries }
}

/** The tree of a layer as its file holds it. */
export function encodedTree(entries: readonly StoredEntry[]): Uint8Array {
  const encoded = encodedEntries()
  for (const [index, entry] of entries.entries()) encoded.add(entry, index)
  return encodeLayerTree([encoded.end()])
}
