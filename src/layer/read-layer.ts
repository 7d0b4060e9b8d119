import { ForerunError } from '../errors.ts'
import { hearSignals } from '../host/event-loop.ts'
import type { LayerLimits, LayerTotals } from '../image/layer-limits.ts'
import type { LayerReceiver } from '../tree/entry.ts'
import { archiveBytes, archiveDigest, type LayerIdentity } from './archive-bytes.ts'
import { outputTo } from './inflate.ts'
import { tarReader } from './tar.ts'
import { verifiedBlob } from './verified-blob.ts'

export interface LayerReading {
  readonly receiver: LayerReceiver
  readonly limits: LayerLimits
  /** What is known of other layers of the image. */
  readonly others?: LayerTotals
  /** Aborting it ends the reading; the source of a blob should know it as well. */
  readonly signal?: AbortSignal
  /** Told the total of compressed bytes with every piece of the blob. */
  readonly onReceived?: (bytes: number) => void
}

/**
 * Reads a layer once, streaming, into the receiver (OCI image specification, "Image Layer Filesystem Changeset"), all in
 * the calling thread, whose event loop turns meanwhile. What the receiver got is to be believed only
 * when the promise resolves: then the blob's size and digest, the diff id, and the archive to its end were right. The
 * blob's iterator is released in any case.
 *
 * @returns the number of entries and the size of the uncompressed archive in bytes.
 * @throws ForerunError `digest` for bytes that are not what they should be, also when that is why they cannot be read;
 * `layer` for a malformed archive; `limit`; `interrupted`; and what the source or the receiver throws.
 */
export async function readLayer(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  identity: LayerIdentity,
  { receiver, limits, others, signal, onReceived }: LayerReading,
): Promise<{ entries: number; uncompressedSize: number }> {
  const { descriptor } = identity
  await using blob = verifiedBlob(source, descriptor, { signal, onReceived })
  const reader = tarReader(receiver, { layer: descriptor.digest, limits, ...(others && { others }) })
  const digest = archiveDigest(identity)
  const output = outputTo((bytes) => {
    digest.update(bytes)
    reader.write(bytes)
  })
  const step = hearSignals(signal ?? new AbortController().signal, 'while reading a layer')
  using archive = archiveBytes({ layer: descriptor.digest, limits, output })
  try {
    for await (const bytes of blob.bytes()) {
      for (let at = 0; at < bytes.length; at += longestStep) {
        archive.write(bytes.subarray(at, at + longestStep))
        await step()
      }
    }
    archive.end()
    reader.end()
    return { entries: reader.entries, uncompressedSize: digest.verify() }
  } catch (error) {
    // Bytes that cannot be read may be the wrong bytes, which is then what the user should know.
    if (error instanceof ForerunError && error.code === 'layer') await blob.passRest()
    throw error
  }
}

/** Bytes of a blob: of zstd, four may be 128 KiB of an archive. */
const longestStep = 4096
