import { setImmediate as nextTurn } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import {
  type ByteChannel,
  byteChannel,
  channelReceiver,
  channelSender,
  closeChannel,
  isChannelClosed,
} from '../host/byte-channel.ts'
import { interruption } from '../host/event-loop.ts'
import type { LayerLimits, LayerTotals } from '../image/layer-limits.ts'
import { archiveDigest, type LayerIdentity } from '../layer/archive-bytes.ts'
import { readLayer } from '../layer/read-layer.ts'
import { verifiedBlob } from '../layer/verified-blob.ts'
import { encodeLayerTree } from '../store/layer-tree.ts'
import type { Staging } from '../store/staging.ts'
import type { ByteString } from '../tree/entry.ts'
import { type LayerPart, layerPartWriter } from './layer-part.ts'
import type { Threads } from './threads.ts'

export interface Unpacking {
  readonly store: string
  readonly staging: Staging
  readonly threads: Threads
  readonly limits: LayerLimits
  /** What is known of other layers of the image. */
  readonly others: LayerTotals
  readonly signal: AbortSignal
  /** Told the total of compressed bytes with every piece of the blob. */
  readonly onReceived: (bytes: number) => void
}

export interface UnpackedLayer extends LayerTotals {
  /** As `encodeLayerTree` makes it. */
  readonly tree: Uint8Array
  /** Names of extended attributes that Linux could not hold: a few, if there are many. */
  readonly leftOut: readonly ByteString[]
}

type Source = AsyncIterable<Buffer> | Iterable<Buffer>

/**
 * Imports a layer into a staging while it is received. What was made is to be believed only when the promise resolves; else
 * nothing of it is left.
 *
 * @throws as `readLayer`.
 */
export async function unpackLayer(
  source: Source,
  identity: LayerIdentity,
  unpacking: Unpacking,
): Promise<UnpackedLayer> {
  const { staging } = unpacking
  const folder = staging.openFolder()
  const unpack = identity.descriptor.size < threadsWorth ? unpackHere : unpackInThreads
  try {
    const parts = await unpack(source, identity, { ...unpacking, folder })
    return {
      tree: encodeLayerTree(parts.map(({ entries }) => entries)),
      entries: parts.reduce((sum, { entries }) => sum + entries.indexes.length, 0),
      size: parts.reduce((sum, { size }) => sum + size, 0),
      leftOut: [...new Set(parts.flatMap(({ leftOut }) => leftOut))],
    }
  } catch (error) {
    staging.discard(folder)
    throw error
  }
}

/** Bytes of a blob: what is smaller is unpacked before threads have started. */
const threadsWorth = 4 * 1024 ** 2

interface Work extends Unpacking {
  /** Of the staging. */
  readonly folder: string
}

/** It is received first: who is slow to take what comes loses more when the connection is cut. */
async function unpackHere(
  source: Source,
  identity: LayerIdentity,
  { store, folder, limits, others, signal, onReceived }: Work,
): Promise<LayerPart[]> {
  const blob = Buffer.allocUnsafeSlow(identity.descriptor.size)
  await using verified = verifiedBlob(source, identity.descriptor, { signal, onReceived })
  let length = 0
  for await (const bytes of verified.bytes()) length += bytes.copy(blob, length)
  using part = layerPartWriter(store, folder)
  await readLayer(piecesOf(blob), identity, { receiver: part.writer, limits, others, signal })
  return [part.end()]
}

function* piecesOf(blob: Buffer): Generator<Buffer> {
  for (let at = 0; at < blob.length; at += blobSlots.slotSize) yield blob.subarray(at, at + blobSlots.slotSize)
}

/**
 * This thread verifies the blob and the archive, one decompresses, and two make objects of the files, of which each takes
 * the next that is not taken.
 */
async function unpackInThreads(
  source: Source,
  identity: LayerIdentity,
  { store, folder, threads, limits, others, signal, onReceived }: Work,
): Promise<LayerPart[]> {
  const layer = identity.descriptor.digest
  const blob = byteChannel(blobSlots)
  const archive = byteChannel(archiveSlots, { receivers: 1 + writers })
  const next = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const close = (): void => {
    closeChannel(blob)
    closeChannel(archive)
  }
  const giveUp = (error: unknown): never => {
    close()
    throw error
  }
  // What is in the channels may be the whole blob, and a gigabyte of archive.
  signal.addEventListener('abort', close)
  await using verified = verifiedBlob(source, identity.descriptor, { signal, onReceived })
  const unpacking = Array.from({ length: writers }, (_, index) =>
    threads.run('unpackArchive', { archive, receiver: 1 + index, next, layer, limits, others, store, folder }),
  )
  // What fails makes the others give up. The first of these that failed by itself is what went wrong: of bytes that did not
  // all come, the content is of no interest, and of an archive that cannot be read, the diff id.
  const work: Promise<unknown>[] = [
    send(verified.bytes(), blob),
    ...unpacking,
    threads.run('decompressLayer', { blob, archive, layer, limits }),
    verify(archive, identity),
  ]
  const ended = await Promise.allSettled(work.map((part) => part.catch(giveUp)))
  const failures = ended.flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []))
  signal.removeEventListener('abort', close)
  if (failures.length === 0) return await Promise.all(unpacking)
  const reason = failures.find((failure) => !isChannelClosed(failure)) ?? interruption(signal, 'while reading a layer')
  // Bytes that cannot be read may be the wrong bytes, which is then what the user should know.
  if (reason instanceof ForerunError && reason.code === 'layer') await verified.passRest()
  throw reason
}

/** Making small files takes longer than decompressing them, and large ones the other way round: so two threads make files. */
const writers = 2

/** One megabyte waits, and four, in pieces that a core's cache holds. */
const blobSlots = { slots: 16, slotSize: 64 * 1024 }
const archiveSlots = { slots: 32, slotSize: 128 * 1024 }

async function send(bytes: AsyncIterable<Buffer>, channel: SharedArrayBuffer): Promise<void> {
  const sender = channelSender(channel)
  for await (const piece of bytes) await sender.sendLater(piece)
  sender.end()
}

/** Receives as number 0. */
async function verify(archive: ByteChannel, identity: LayerIdentity): Promise<void> {
  const { receiveLater } = channelReceiver(archive, 0)
  const digest = archiveDigest(identity)
  for (let count = 1, bytes = await receiveLater(); bytes !== undefined; bytes = await receiveLater(), count++) {
    digest.update(bytes)
    // What is there already is received without the event loop having turned.
    if (count % archiveSlots.slots === 0) await nextTurn()
  }
  digest.verify()
}
