import { ForerunError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { type Digest, digester, finishDigest } from '../image/digest.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import { decompressor } from './decompress.ts'
import { LayerFault, layerError } from './fault.ts'
import { digestHint } from './verified-blob.ts'

export interface LayerIdentity {
  /** Of the blob as it is transferred. Its media type does not matter: the bytes tell how they are compressed. */
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  /** Of the uncompressed archive. */
  readonly diffId: Digest
}

/** Makes of a layer's blob its archive, and verifies that. */
export interface ArchiveBytes extends Disposable {
  /** @throws ForerunError `layer`, `limit`, and what `take` throws. */
  write(bytes: Buffer): void
  /** To be called once, after the last bytes. @throws ForerunError `layer` for a truncated blob. */
  end(): void
  /**
   * To be called once, after the end.
   *
   * @returns the size of the archive in bytes.
   * @throws ForerunError `digest` for an archive that has not the diff id.
   */
  verify(): number
}

/** @param take gets the bytes of the archive, which are valid during the call only. */
export function archiveBytes(
  { descriptor, diffId }: LayerIdentity,
  { limits, take }: { limits: LayerLimits; take: (bytes: Buffer) => void },
): ArchiveBytes {
  const layer = descriptor.digest
  const hash = digester(diffId)
  let received = 0
  let size = 0
  const form = decompressor((bytes) => {
    size += bytes.length
    if (size > harmlessSize && size > received * limits.compressionRatio) {
      throw new LayerFault(`it expands to more than ${limits.compressionRatio} times its size`, {
        limit: 'compressionRatio',
      })
    }
    hash.update(bytes)
    take(bytes)
  })

  function located(act: () => void): void {
    try {
      act()
    } catch (error) {
      throw error instanceof LayerFault ? layerError(error, { layer, where: `byte ${received} of the blob` }) : error
    }
  }

  return {
    write(bytes) {
      received += bytes.length
      located(() => form.write(bytes))
    },
    end: () => located(() => form.end()),
    verify() {
      const found = finishDigest(hash, diffId)
      if (found !== diffId) {
        throw new ForerunError('digest', `layer ${layer} has the diff id ${found}, not ${diffId}`, { hint: digestHint })
      }
      return size
    },
    [Symbol.dispose]: () => form[Symbol.dispose](),
  }
}

/** So much is harmless, however small it was in the blob. */
const harmlessSize = 64 * 1024 ** 2
