import { ForerunError } from '../errors.ts'
import { byteChannel, channelSender, closeChannel, isChannelClosed } from '../host/byte-channel.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import type { LayerIdentity } from '../layer/archive-bytes.ts'
import { verifiedBlob } from '../layer/verified-blob.ts'
import type { Staging } from '../store/staging.ts'
import type { UnpackedLayer } from './thread-tasks.ts'
import type { Threads } from './threads.ts'

export interface Unpacking {
  readonly store: string
  readonly staging: Staging
  readonly threads: Threads
  readonly limits: LayerLimits
  readonly signal: AbortSignal
  /** Told the total of compressed bytes with every piece of the blob. */
  readonly onReceived: (bytes: number) => void
}

/**
 * Imports a layer into a staging while it is received: this thread verifies the blob, one decompresses it and verifies
 * the archive, one makes objects of its files. What was made is to be believed only when the promise resolves; else
 * nothing of it is left.
 *
 * @throws as `readLayer`.
 */
export async function unpackLayer(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  identity: LayerIdentity,
  { store, staging, threads, limits, signal, onReceived }: Unpacking,
): Promise<UnpackedLayer> {
  const layer = identity.descriptor.digest
  const folder = staging.openFolder()
  const channels = { blob: byteChannel(blobSlots), archive: byteChannel(archiveSlots) }
  const giveUp = (error: unknown): never => {
    closeChannel(channels.blob)
    closeChannel(channels.archive)
    throw error
  }
  await using blob = verifiedBlob(source, identity.descriptor, { signal, onReceived })
  // What fails makes the others give up. Of an archive that cannot be read, the diff id is of no interest.
  const parts = await Promise.allSettled([
    send(blob.bytes(), channels.blob).catch(giveUp),
    threads.run('unpackLayer', { archive: channels.archive, layer, limits, store, folder }).catch(giveUp),
    threads.run('decompressLayer', { ...channels, identity, limits }).catch(giveUp),
  ])
  const [, unpacked] = parts
  const failures = parts.flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []))
  if (failures.length === 0 && unpacked.status === 'fulfilled') return unpacked.value
  staging.discard(folder)
  const reason = failures.find((failure) => !isChannelClosed(failure))
  // Bytes that cannot be read may be the wrong bytes, which is then what the user should know.
  if (reason instanceof ForerunError && reason.code === 'layer') await blob.passRest()
  throw reason
}

/** About two megabytes wait each way, in pieces that a core's cache holds. */
const blobSlots = { slots: 16, slotSize: 128 * 1024 }
const archiveSlots = { slots: 8, slotSize: 256 * 1024 }

async function send(bytes: AsyncIterable<Buffer>, channel: SharedArrayBuffer): Promise<void> {
  const sender = channelSender(channel)
  for await (const piece of bytes) await sender.sendLater(piece)
  sender.end()
}
