import { ForerunError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { type Digest, digester, finishDigest } from '../image/digest.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import type { LayerReceiver } from '../tree/entry.ts'
import { decompress } from './decompress.ts'
import { LayerFault, layerError } from './fault.ts'
import { tarReader } from './tar.ts'
import { digestHint, type VerifiedBlob, verifiedBlob } from './verified-blob.ts'

export interface LayerIdentity {
  /** Of the blob as it is transferred. Its media type does not matter: the bytes tell how they are compressed. */
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  /** Of the uncompressed archive. */
  readonly diffId: Digest
}

export interface LayerReading {
  readonly receiver: LayerReceiver
  readonly limits: LayerLimits
  /** Aborting it ends the reading at the next piece of the blob; the source of a blob should know it as well. */
  readonly signal?: AbortSignal
  /** Told the total of compressed bytes with every piece of the blob. */
  readonly onReceived?: (bytes: number) => void
}

/**
 * Reads a layer once, streaming, into the receiver (OCI image specification, "Image Layer Filesystem Changeset"). What
 * the receiver got is to be believed only when the promise resolves: then the blob's size and digest, the diff id, and
 * the archive to its end were right. The blob's iterator is released in any case.
 *
 * @returns the number of entries and the size of the uncompressed archive in bytes.
 * @throws ForerunError `digest` for bytes that are not what they should be, also when that is why they cannot be read;
 * `layer` for a malformed archive; `limit`; `interrupted`; and what the source or the receiver throws.
 */
export async function readLayer(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  { descriptor, diffId }: LayerIdentity,
  { receiver, limits, signal, onReceived }: LayerReading,
): Promise<{ entries: number; uncompressedSize: number }> {
  const blob = verifiedBlob(source, descriptor, { signal, onReceived })
  const layer = descriptor.digest
  const reader = tarReader(receiver, { layer, limits })
  const hash = digester(diffId)
  let size = 0
  try {
    for await (const bytes of decompress(blob.bytes(), layer)) {
      size += bytes.length
      checkRatio({ size, received: blob.received }, { layer, limits })
      hash.update(bytes)
      reader.write(bytes)
    }
    await passRest(blob)
    const found = finishDigest(hash, diffId)
    if (found !== diffId) {
      throw new ForerunError('digest', `layer ${layer} has the diff id ${found}, not ${diffId}`, { hint: digestHint })
    }
    reader.end()
  } catch (error) {
    // Bytes that cannot be read may be the wrong bytes, which is then what the user should know.
    if (error instanceof ForerunError && error.code === 'layer') await passRest(blob)
    throw error
  } finally {
    await blob.close()
  }
  return { entries: reader.entries, uncompressedSize: size }
}

/** @throws ForerunError `digest` when the blob is not the one of its descriptor. */
async function passRest(blob: VerifiedBlob): Promise<void> {
  for await (const _ of blob.bytes());
}

/** So much is harmless, however small it was in the blob. */
const harmlessSize = 64 * 1024 ** 2

function checkRatio(
  { size, received }: { size: number; received: number },
  { layer, limits }: { layer: string; limits: LayerLimits },
): void {
  if (size <= harmlessSize || size <= received * limits.compressionRatio) return
  const fault = new LayerFault(`it expands to more than ${limits.compressionRatio} times its size`, {
    limit: 'compressionRatio',
  })
  throw layerError(fault, { layer, where: `byte ${received} of the blob` })
}
