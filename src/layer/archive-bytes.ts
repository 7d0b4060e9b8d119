import { ForerunError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { type Digest, digester, finishDigest } from '../image/digest.ts'
import type { LayerLimits } from '../image/layer-limits.ts'
import { decompressor } from './decompress.ts'
import { LayerFault, layerError } from './fault.ts'
import type { Output } from './inflate.ts'
import { digestHint } from './verified-blob.ts'

export interface LayerIdentity {
  /** Of the blob as it is transferred. Its media type does not matter: the bytes tell how they are compressed. */
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  /** Of the uncompressed archive. */
  readonly diffId: Digest
}

/** Makes of a layer's blob its archive. */
export interface ArchiveBytes extends Disposable {
  /** @throws ForerunError `layer`, `limit`, and what the output throws. */
  write(bytes: Buffer): void
  /** To be called once, after the last bytes. @throws ForerunError `layer` for a truncated blob. */
  end(): void
}

/** @param layer what errors call the layer: its digest. */
export function archiveBytes({
  layer,
  limits,
  output,
}: {
  layer: string
  limits: LayerLimits
  output: Output
}): ArchiveBytes {
  let received = 0
  let size = 0
  const form = decompressor({
    room: output.room,
    filled(length) {
      size += length
      if (size > harmlessSize && size > received * limits.compressionRatio) {
        throw new LayerFault(`it expands to more than ${limits.compressionRatio} times its size`, {
          limit: 'compressionRatio',
        })
      }
      output.filled(length)
    },
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
    [Symbol.dispose]: () => form[Symbol.dispose](),
  }
}

/** So much is harmless, however small it was in the blob. */
const harmlessSize = 64 * 1024 ** 2

/** Verifies an archive that passes. */
export interface ArchiveDigest {
  update(bytes: Buffer): void
  /**
   * To be called once, after the last bytes.
   *
   * @returns the size of the archive in bytes.
   * @throws ForerunError `digest` for an archive that has not the diff id.
   */
  verify(): number
}

export function archiveDigest({ descriptor, diffId }: LayerIdentity): ArchiveDigest {
  const hash = digester(diffId)
  let size = 0
  return {
    update(bytes) {
      size += bytes.length
      hash.update(bytes)
    },
    verify() {
      const found = finishDigest(hash, diffId)
      if (found !== diffId) {
        const message = `layer ${descriptor.digest} has the diff id ${found}, not ${diffId}`
        throw new ForerunError('digest', message, { hint: digestHint })
      }
      return size
    },
  }
}
