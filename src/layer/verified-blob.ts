import { ForerunError } from '../errors.ts'
import { interruption } from '../host/event-loop.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { digester, finishDigest } from '../image/digest.ts'

/** A blob that is hashed as it passes. Reading on after its end is harmless; disposing lets go of the source. */
export interface VerifiedBlob extends AsyncDisposable {
  /**
   * What is left of the blob. The end is reached only by a blob that has the size and the digest of its descriptor.
   *
   * @throws ForerunError `digest`, `interrupted`, and what the source throws.
   */
  bytes(): AsyncGenerator<Buffer>
  /** Reads what is left, for nothing but its digest. @throws as `bytes`. */
  passRest(): Promise<void>
}

export function verifiedBlob(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  { signal, onReceived }: { signal?: AbortSignal | undefined; onReceived?: ((bytes: number) => void) | undefined },
): VerifiedBlob {
  const iterator = iteratorOf(source)
  const hash = digester(descriptor.digest)
  let received = 0
  let ended = false

  async function* bytes(): AsyncGenerator<Buffer> {
    while (!ended) {
      if (signal?.aborted) throw interruption(signal, 'while reading a blob')
      const { done, value } = await iterator.next()
      if (done === true) {
        ended = true
        checkEnd()
        return
      }
      received += value.length
      if (received > descriptor.size) {
        throw sizeError(descriptor, 'more came')
      }
      hash.update(value)
      onReceived?.(received)
      yield value
    }
  }

  function checkEnd(): void {
    if (received < descriptor.size) throw sizeError(descriptor, `the source sent ${received}`)
    const found = finishDigest(hash, descriptor.digest)
    if (found !== descriptor.digest) {
      throw new ForerunError('digest', `blob ${descriptor.digest} has the digest ${found}`, { hint: digestHint })
    }
  }

  return {
    bytes,
    async passRest() {
      for await (const _ of bytes());
    },
    async [Symbol.asyncDispose]() {
      if (!ended) await iterator.return?.()
    },
  }
}

function iteratorOf(source: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncIterator<Buffer> | Iterator<Buffer> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
}

export const digestHint =
  'The source serves other bytes than the image names: pull again, or have the image pushed anew.'

function sizeError({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, found: string): ForerunError {
  return new ForerunError('digest', `blob ${digest} should have ${size} bytes, but ${found}`, { hint: digestHint })
}
