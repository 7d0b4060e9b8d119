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
