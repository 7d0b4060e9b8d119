import { ForerunError } from '../../../errors.ts'
import { type Answer, chunksOf, tooSlow } from './answer.ts'
import { decodedChunks, saysCompressed } from './content-encoding.ts'

/**
 * The whole body. Throws as `chunksOf` does, also when the whole takes too long.
 *
 * @throws ForerunError `limit` as soon as it is known to have more than `limit` bytes.
 */
export async function wholeBody(
  answer: Answer,
  { limit, signal, document }: { limit: number; signal: AbortSignal; document: string },
): Promise<Buffer> {
  const body = saysCompressed(answer) ? decodedChunks(answer, signal) : chunksOf(answer, signal)
  const chunks: Buffer[] = []
  const deadline = performance.now() + answer.documentTimeout
  let length = Number(answer.header('content-length') ?? 0)
  if (length > limit) {
    answer.body.destroy()
    throw tooLong(answer.url, { limit, document })
  }
  length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > limit) throw tooLong(answer.url, { limit, document })
    if (performance.now() > deadline) throw tooSlow(answer.url)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLong(url: URL, { limit, document }: { limit: number; document: string }): ForerunError {
  return new ForerunError('limit', `${document} of ${url.host} has more than ${limit} bytes`, {
    hint: 'No image needs that much; check what was pushed there.',
  })
}
