import { constants, createGunzip, gunzipSync } from 'node:zlib'
import { transformed } from '../../transformed.ts'
import { type Answer, chunksOf } from './answer.ts'
import { AttemptFailure, misbehaving } from './failure.ts'

/**
 * Whether an answer says that it is compressed (RFC 9110, section 8.4), though it was asked not to be: proxies and web servers
 * compress what they pass on. `aws-chunked` tells how something was once uploaded, not how it comes.
 *
 * @throws ForerunError `registry` for an encoding that forerun does not know.
 */
export function saysCompressed(answer: Answer): boolean {
  const encodings = (answer.header('content-encoding') ?? '').split(',').map((word) => word.trim().toLowerCase())
  const others = encodings.filter((encoding) => !['', 'identity', 'aws-chunked'].includes(encoding))
  const unknown = others.find((encoding) => encoding !== 'gzip' && encoding !== 'x-gzip')
  if (unknown === undefined && others.length <= 1) return others.length === 1
  answer.body.destroy()
  throw misbehaving(answer.url, `answers in the encoding ${others.join(', ').slice(0, 40)}, though it was asked not to`)
}

/**
 * As `chunksOf`, without the compression that was put on for the way. What is not compressed, though the answer says so, is left
 * as it is; and what should be gzip without it, where `mayBeItself`: storages say the same of what was compressed before.
 *
 * @throws ForerunError `registry` when it cannot be decompressed, AttemptFailure when it ends early.
 */
export async function* decodedChunks(
  answer: Answer,
  signal: AbortSignal,
  { mayBeItself = false } = {},
): AsyncGenerator<Buffer, void, undefined> {
  const chunks = chunksOf(answer, signal)
  try {
    const head = await beginning(chunks)
    const whole = joined(head, chunks)
    yield* isWrapped(head, mayBeItself) ? gunzipped(answer, whole) : whole
  } finally {
    await chunks.return()
  }
}

/** Enough to see what is inside. */
const headLength = 512

async function beginning(chunks: AsyncGenerator<Buffer, void, undefined>): Promise<Buffer> {
  const head: Buffer[] = []
  for (let length = 0; length < headLength; ) {
    const { done, value } = await chunks.next()
    if (done === true) break
    head.push(value)
    length += value.length
  }
  return Buffer.concat(head)
}

async function* joined(head: Buffer, rest: AsyncGenerator<Buffer, void, undefined>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head
  yield* rest
}

function isWrapped(head: Buffer, mayBeItself: boolean): boolean {
  return beginsAsGzip(head) && (!mayBeItself || beginsAsGzip(inflatedBeginning(head.subarray(0, headLength))))
}

function beginsAsGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

function inflatedBeginning(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch (error) {
    // Then it is for whoever reads the whole to say what is wrong with it.
    if (isZlibFault(error)) return Buffer.alloc(0)
    throw error
  }
}

async function* gunzipped(answer: Answer, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* transformed(chunks, createGunzip(), { release: () => answer.body.destroy() })
  } catch (error) {
    if (!isZlibFault(error)) throw error
    const failure = misbehaving(answer.url, 'answers with damaged gzip data')
    throw error.code === 'Z_BUF_ERROR' ? new AttemptFailure(failure) : failure
  }
}

function isZlibFault(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_')
}
