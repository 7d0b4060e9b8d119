import { type ByteChannel, channelReceiver, channelSender } from '../host/byte-channel.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import { archiveBytes } from '../layer/archive-bytes.ts'
import { tarReader } from '../layer/tar.ts'
import { hashFiles } from '../store/hash-file.ts'
import { type EncodedEntries, encodedEntries } from '../store/layer-tree.ts'
import { layerWriter } from '../store/layer-writer.ts'
import { placeFiles } from '../store/place-files.ts'

/** What threads do for operations, each call from beginning to end in one thread, without an event loop's turn. */
export const threadTasks = {
  decompressLayer,
  unpackArchive,
  hashFiles,
  placeFiles,
} as const

export type ThreadTasks = typeof threadTasks

/** A layer's blob into its archive. */
function decompressLayer(work: {
  readonly blob: ByteChannel
  readonly archive: ByteChannel
  readonly layer: string
  readonly limits: LayerLimits
}): void {
  const { receive } = channelReceiver(work.blob)
  const sender = channelSender(work.archive)
  using archive = archiveBytes({ ...work, output: sender })
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) archive.write(bytes)
  archive.end()
  sender.end()
}

/** A part of a layer: with the parts of the other threads it is the whole. */
export interface UnpackedPart {
  readonly entries: EncodedEntries
  /** Bytes of the files. */
  readonly size: number
}

/**
 * A layer's archive into objects, and the entries of its tree: those that no other thread, of all which receive the same
 * archive, has taken before.
 */
function unpackArchive(work: {
  readonly archive: ByteChannel
  readonly receiver: number
  /** One number: of the next entry that nobody has taken. */
  readonly next: SharedArrayBuffer
  readonly layer: string
  readonly limits: LayerLimits
  readonly store: string
  /** Of the staging. */
  readonly folder: string
}): UnpackedPart {
  const { receive } = channelReceiver(work.archive, work.receiver)
  const next = new Int32Array(work.next)
  const encoded = encodedEntries()
  let size = 0
  using writer = layerWriter(work.store, work.folder, {
    wants: (index) => Atomics.compareExchange(next, 0, index, index + 1) === index,
    take(entry, index) {
      encoded.add(entry, index)
      if (entry.kind === 'file') size += entry.size
    },
  })
  const reader = tarReader(writer, work)
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) reader.write(bytes)
  reader.end()
  return { entries: encoded.end(), size }
}
