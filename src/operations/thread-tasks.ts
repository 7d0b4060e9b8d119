import { type ByteChannel, channelReceiver, channelSender } from '../host/byte-channel.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import { archiveBytes, type LayerIdentity } from '../layer/archive-bytes.ts'
import { tarReader } from '../layer/tar.ts'
import { hashFiles } from '../store/hash-file.ts'
import { encodeLayerTree } from '../store/layer-tree.ts'
import { layerWriter } from '../store/layer-writer.ts'

/** What threads do for operations, each call from beginning to end in one thread, without an event loop's turn. */
export const threadTasks = {
  decompressLayer,
  unpackLayer,
  hashFiles,
} as const

export type ThreadTasks = typeof threadTasks

/** The first half of an import: a layer's blob into its archive, verified. */
function decompressLayer(work: {
  readonly blob: ByteChannel
  readonly archive: ByteChannel
  readonly identity: LayerIdentity
  readonly limits: LayerLimits
}): void {
  const { receive } = channelReceiver(work.blob)
  const { send, end } = channelSender(work.archive)
  using archive = archiveBytes(work.identity, { limits: work.limits, take: send })
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) archive.write(bytes)
  archive.end()
  // The other half reads to the end whatever the diff id is: an archive that cannot be read is told as such.
  end()
  archive.verify()
}

export interface UnpackedLayer {
  /** As `encodeLayerTree` makes it; with a memory of its own, which is handed over. */
  readonly tree: Uint8Array
  /** Bytes of all files. */
  readonly size: number
}

/** The second half: a layer's archive into objects and its tree. */
function unpackLayer(work: {
  readonly archive: ByteChannel
  readonly layer: string
  readonly limits: LayerLimits
  readonly store: string
  /** Of the staging. */
  readonly folder: string
}): UnpackedLayer {
  const { receive } = channelReceiver(work.archive)
  using writer = layerWriter(work.store, work.folder)
  const reader = tarReader(writer, work)
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) reader.write(bytes)
  reader.end()
  const size = writer.entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0)
  return { tree: encodeLayerTree(writer.entries), size }
}
