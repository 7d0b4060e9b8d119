import { ForerunError } from '../errors.ts'

/**
 * Does work for each item, `width` of them at a time, begun in their order. The first failure interrupts the rest; when
 * all of it has ended, that failure is thrown.
 */
export async function sideBySide<Item>(
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<void>,
  { width, signal }: { width: number; signal: AbortSignal },
): Promise<void> {
  const waiting = [...items]
  const fault = new AbortController()
  const either = AbortSignal.any([signal, fault.signal])
  const workNext = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined && !either.aborted; item = waiting.shift()) {
      await work(item, either)
    }
  }
  const workers = Array.from({ length: width }, () =>
    workNext().catch((error: unknown) => {
      fault.abort()
      throw error
    }),
  )
  const failures = (await Promise.allSettled(workers)).flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  )
  if (failures.length > 0) throw failures.find((error) => !isInterruption(error)) ?? failures[0]
  if (signal.aborted) throw new ForerunError('interrupted', 'interrupted', { cause: signal.reason })
}

function isInterruption(error: unknown): boolean {
  return error instanceof ForerunError && error.code === 'interrupted'
}

/** Lets so many at a time go on, in the order in which they ask. */
export interface Turns {
  /** Waits for a turn, which ends when it is disposed of. */
  take(): Promise<Disposable>
}

export function openTurns(width: number): Turns {
  const waiting: (() => void)[] = []
  let free = width
  const turn: Disposable = {
    [Symbol.dispose]() {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    },
  }
  return {
    async take() {
      if (free > 0) free--
      else await new Promise<void>((resolve) => waiting.push(resolve))
      return turn
    },
  }
}
