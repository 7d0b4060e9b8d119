import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { unreadable } from './file-fault.ts'

/**
 * A stream's decompressed bytes. When the iteration ends, in whichever way, nothing reads the source any more.
 *
 * @throws ForerunError `archive`, naming the path.
 */
export async function* decompressed(
  source: AsyncIterable<Buffer>,
  path: string,
  stream: Transform,
): AsyncGenerator<Buffer, void, undefined> {
  // Whatever ends the pipeline in an error is thrown by the loop over its stream as well.
  const feeding = pipeline(source, stream).catch(() => {})
  try {
    for await (const bytes of stream) yield bytes
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!/^Z(?:STD)?_/.test(code)) throw error
    const reason = code === 'Z_BUF_ERROR' ? 'ends in the midst of its compressed data' : 'has damaged compressed data'
    throw unreadable(path, reason, { cause: error })
  } finally {
    stream.destroy()
    await feeding
  }
}
