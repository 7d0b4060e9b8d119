import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import { checkInterrupted } from './answer.ts'
import { AttemptFailure, displayUrl } from './failure.ts'
import type { Registry } from './registry.ts'

export interface Retries {
  /** Waits before the next attempt. @throws the error when no further attempt is to be made. */
  next(error: unknown): Promise<void>
  /** Tells of bytes received. Enough of them, and the faults before them are forgotten. */
  progress(bytes: number): void
}

/**
 * Counts the failed attempts at one thing, and waits between them: exponentially longer, somewhat at random so that
 * parallel transfers do not come back as one, or as long as the registry asks for. One that asks for longer than the
 * longest delay is not waited for. A mirror is tried once more at most, and not when it never answered: there is another place.
 */
export function countRetries(registry: Registry, url: URL, { signal, emit }: TransferContext): Retries {
  const { firstDelay, longestDelay } = registry.settings
  const retries = registry.isMirror ? Math.min(registry.settings.retries, 1) : registry.settings.retries
  let failed = 0
  let received = 0
  return {
    async next(error) {
      checkInterrupted(signal)
      if (!(error instanceof AttemptFailure)) throw error
      const mayComeBack = registry.reached || (error.kind === 'temporary' && !registry.isMirror)
      const isWorthIt = error.kind !== 'not-tls' && mayComeBack
      const isTooLong = (error.retryAfter ?? 0) > longestDelay
      if (!isWorthIt || isTooLong || failed >= retries) throw final(error.failure, failed)
      const backoff = Math.min(firstDelay * 2 ** failed, longestDelay)
      const delay = error.retryAfter ?? Math.round(backoff * (0.75 + Math.random() / 4))
      failed += 1
      received = 0
      emit({ type: 'retry', url: displayUrl(url), reason: error.message, attempt: failed, delay })
      await wait(delay, signal)
    },
    progress(bytes) {
      received += bytes
      if (received >= enoughProgress) failed = 0
    },
  }
}

/** Attempts until one succeeds; see `countRetries`. */
export async function withRetries<Result>(
  registry: Registry,
  url: URL,
  { context, attempt }: { context: TransferContext; attempt: () => Promise<Result> },
): Promise<Result> {
  const retries = countRetries(registry, url, context)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await retries.next(error)
    }
  }
}

/** Less than this between two faults is a registry that does not get on. */
const enoughProgress = 1024 * 1024

function final(failure: ForerunError, retries: number): ForerunError {
  if (retries === 0) return failure
  return new ForerunError(failure.code, `${failure.message}, after ${retries + 1} attempts`, {
    ...(failure.hint !== undefined && { hint: failure.hint }),
    cause: failure,
  })
}

async function wait(delay: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delay, undefined, { signal })
  } catch (error) {
    checkInterrupted(signal)
    throw error
  }
}
