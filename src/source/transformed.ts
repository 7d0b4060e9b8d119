import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * What a stream makes of the bytes of a source. When the iteration ends, in whichever way, nothing reads the source any more.
 *
 * @param options.release ends a read of the source that may still wait for bytes.
 * @throws what the source or the stream throws.
 */
export async function* transformed(
  source: AsyncIterable<Buffer>,
  stream: Transform,
  { release = () => {} }: { release?: () => void } = {},
): AsyncGenerator<Buffer, void, undefined> {
  // Its errors are those of the stream, which the loop throws; else it is the loop that has ended early.
  const feeding = pipeline(source, stream).catch(() => {})
  try {
    for await (const bytes of stream) yield bytes
  } finally {
    release()
    stream.destroy()
    await feeding
  }
}
