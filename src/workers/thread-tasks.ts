import { type ByteChannel, channelReceiver, channelSender } from '../host/byte-channel.ts'
import type { LayerLimits, LayerTotals } from '../image/layer-limits.ts'
import { archiveBytes } from '../layer/archive-bytes.ts'
import { tarReader } from '../layer/tar.ts'
import { hashFiles } from '../store/hash-file.ts'
import { placeFiles } from '../store/place-files.ts'
import { type LayerPart, layerPartWriter } from './layer-part.ts'

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
  readonly others: LayerTotals
  readonly store: string
  /** Of the staging. */
  readonly folder: string
}): LayerPart {
  const { receive } = channelReceiver(work.archive, work.receiver)
  const next = new Int32Array(work.next)
  const wants = (index: number): boolean => Atomics.compareExchange(next, 0, index, index + 1) === index
  using part = layerPartWriter(work.store, work.folder, { wants })
  const reader = tarReader(part.writer, work)
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) reader.write(bytes)
  reader.end()
  return part.end()
}
