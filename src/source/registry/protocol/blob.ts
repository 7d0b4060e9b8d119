import { ForerunError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import { repositoryName } from '../../../image/reference.ts'
import type { TransferContext } from '../../source.ts'
import { type Answer, chunksOf, dropBody } from '../transport/answer.ts'
import { decodedChunks, saysCompressed } from '../transport/content-encoding.ts'
import { AttemptFailure, misbehaving } from '../transport/failure.ts'
import { nominalOrigin } from '../transport/nominal-origin.ts'
import type { Registry } from '../transport/registry.ts'
import { countRetries } from '../transport/retries.ts'
import { requestFromRepository } from './request.ts'

/**
 * The bytes of a blob from `offset` on, exactly as many as `descriptor.size` says; the reader checks their digest. After a fault of the network
 * the rest is asked for from the byte where it broke off; a registry that sends the whole again is read again.
 *
 * @throws ForerunError `digest` when the registry has more or fewer bytes.
 */
export async function* readBlob(
  registry: Registry,
  descriptor: Descriptor,
  { offset: start, context }: { offset: number; context: TransferContext },
): AsyncGenerator<Buffer, void, undefined> {
  const path = `blobs/${descriptor.digest}`
  const url = new URL(`/v2/${registry.reference.path}/${path}`, registry.origin ?? nominalOrigin(registry.reference))
  const retries = countRetries(registry, url, context)
  let offset = start
  while (offset < descriptor.size) {
    try {
      for await (const chunk of readFrom(registry, descriptor, { offset, path, context })) {
        offset += chunk.length
        retries.progress(chunk.length)
        yield chunk
      }
    } catch (error) {
      const isComplete = error instanceof AttemptFailure && offset === descriptor.size
      if (!isComplete) await retries.next(error)
    }
  }
}

/** One attempt: the bytes from `offset` to the end. */
async function* readFrom(
  registry: Registry,
  descriptor: Descriptor,
  { offset, path, context }: { offset: number; path: string; context: TransferContext },
): AsyncGenerator<Buffer, void, undefined> {
  const missing = new ForerunError('registry', `${repositoryName(registry.reference)} lacks ${descriptor.digest}`, {
    hint: 'A part of the image is gone from the registry. Push the image again.',
  })
  const ask = (headers: Record<string, string>) =>
    requestFromRepository(registry, path, { headers, missing, accepted: [200, 203, 206], context })
  let answer = await ask(offset === 0 ? {} : { range: `bytes=${offset}-` })
  if (answer.status === 206 && isEncoded(answer, descriptor.size - offset)) {
    // A part of compressed bytes cannot be read.
    dropBody(answer)
    answer = await ask({})
  }
  try {
    const isWrapped = answer.status !== 206 && isEncoded(answer, descriptor.size)
    let repeated = repeatedBytes(answer, descriptor, { offset, isWrapped })
    let position = offset - repeated
    // Another length than the blob's says that it is wrapped; without one its beginning has to.
    const mayBeItself = descriptor.mediaType.endsWith('gzip') && answer.header('content-length') === undefined
    const body = isWrapped ? decodedChunks(answer, context.signal, { mayBeItself }) : chunksOf(answer, context.signal)
    for await (const chunk of body) {
      position += chunk.length
      if (position > descriptor.size) throw wrongSize(descriptor, 'more')
      const fresh = chunk.subarray(Math.min(repeated, chunk.length))
      repeated -= chunk.length - fresh.length
      if (fresh.length > 0) yield fresh
    }
    if (position < descriptor.size) throw endedEarly(answer, descriptor, position)
  } finally {
    answer.body.destroy()
  }
}

/** Storages say that what was compressed before it was stored is encoded, too; its length tells that it is the blob itself. */
function isEncoded(answer: Answer, size: number): boolean {
  return Number(answer.header('content-length')) !== size && saysCompressed(answer)
}

/** How many bytes the answer repeats before the new ones begin. */
function repeatedBytes(
  answer: Answer,
  descriptor: Descriptor,
  { offset, isWrapped }: { offset: number; isWrapped: boolean },
): number {
  if (answer.status !== 206) {
    const length = answer.header('content-length')
    const isWrong = length !== undefined && Number(length) !== descriptor.size
    if (isWrong && !isWrapped) throw wrongSize(descriptor, length)
    return offset
  }
  // RFC 9110, section 14.4. Anything but the rest that was asked for would end up in the wrong place.
  const range = answer.header('content-range') ?? 'none'
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range.trim())
  const isRest = match !== null && Number(match[1]) === offset && Number(match[2]) < descriptor.size
  const isWhole = match?.[3] === '*' || Number(match?.[3]) === descriptor.size
  if (!isRest || !isWhole) {
    throw misbehaving(answer.url, `answers with another range than bytes ${offset}-${descriptor.size - 1}`)
  }
  return 0
}

function endedEarly(answer: Answer, descriptor: Descriptor, position: number): Error {
  const isWholeAnswer =
    answer.header('content-length') !== undefined || answer.header('transfer-encoding') !== undefined
  if (answer.status !== 206 && isWholeAnswer) return wrongSize(descriptor, String(position))
  // Without a length the end of the connection is the end of the answer, and a cut looks the same. A range may be short.
  return new AttemptFailure(misbehaving(answer.url, `ended a blob at byte ${position} of ${descriptor.size}`))
}

function wrongSize({ digest, size }: Descriptor, actual: string): ForerunError {
  return new ForerunError('digest', `${digest} has ${actual} bytes where its manifest says ${size}`, {
    hint: 'The image is damaged, or not what it claims to be. Push the image again.',
  })
}
