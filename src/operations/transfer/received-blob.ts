import type { Descriptor } from '../../image/descriptor.ts'
import type { ImageSource, TransferContext } from '../../source/source.ts'
import type { PartialBlob } from '../../store/partial-blob.ts'
import { blobBytes } from '../lookup/resolve-image.ts'

/** A blob that is being received. Disposing ends that; what came is kept. */
export interface ReceivedBlob extends AsyncDisposable {
  /**
   * The bytes, to be read once: what was kept, and the rest as it comes. Each piece is valid until the next one is asked for.
   *
   * @throws what the source throws, after all that came before; the kernel's error when the disk is full.
   */
  bytes(): AsyncGenerator<Buffer, void, undefined>
}

/**
 * Begins to receive the rest of a blob of which some is kept. It is kept as fast as the source brings it, and read from there,
 * so that what is killed while it works on the bytes, or waits to, has lost none of those that came.
 */
export function receiveBlob(
  descriptor: Descriptor,
  partial: PartialBlob,
  { source, context }: { source: ImageSource; context: TransferContext },
): ReceivedBlob {
  const readerLeft = new AbortController()
  const signal = AbortSignal.any([context.signal, readerLeft.signal])
  const offset = partial.received
  let news = Promise.withResolvers<void>()
  let ending: { failure: unknown } | 'complete' | undefined

  async function receive(): Promise<void> {
    if (offset === descriptor.size) return
    for await (const bytes of blobBytes(source, descriptor, { signal, emit: context.emit }, { offset })) {
      partial.append(bytes)
      news.resolve()
    }
  }

  const receiving = receive()
    .then(
      () => {
        ending = 'complete'
      },
      (failure: unknown) => {
        ending = { failure }
      },
    )
    .then(() => news.resolve())

  return {
    async *bytes() {
      const piece = Buffer.allocUnsafeSlow(pieceSize)
      for (let position = 0; ; ) {
        news = Promise.withResolvers()
        const hasEnded = ending
        if (position < partial.received) {
          const length = partial.read(piece, position)
          position += length
          yield piece.subarray(0, length)
        } else if (hasEnded === undefined) {
          await news.promise
        } else if (hasEnded === 'complete') {
          return
        } else {
          throw hasEnded.failure
        }
      }
    },
    async [Symbol.asyncDispose]() {
      readerLeft.abort()
      await receiving
    },
  }
}

const pieceSize = 256 * 1024
