import type { Descriptor } from '../image/descriptor.ts'
import type { ImageSource, TransferContext } from '../source/source.ts'
import type { PartialBlob } from '../store/partial-blob.ts'
import { blobBytes } from './resolve-image.ts'

/**
 * The bytes of a blob: what is kept of it, and then the rest as it comes. The rest is kept as fast as the source brings it,
 * and read from there, so that what is killed while it works on the bytes has lost none of those that came.
 *
 * @throws what the source throws, after all that came before; the kernel's error when the disk is full.
 */
export async function* receivedBlob(
  descriptor: Descriptor,
  partial: PartialBlob,
  { source, context }: { source: ImageSource; context: TransferContext },
): AsyncGenerator<Buffer, void, undefined> {
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
  try {
    for (let position = 0; ; ) {
      news = Promise.withResolvers()
      const hasEnded = ending
      if (position < partial.received) {
        const bytes = partial.read(position)
        position += bytes.length
        yield bytes
      } else if (hasEnded === undefined) {
        await news.promise
      } else if (hasEnded === 'complete') {
        return
      } else {
        throw hasEnded.failure
      }
    }
  } finally {
    readerLeft.abort()
    await receiving
  }
}
