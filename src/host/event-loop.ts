import { setImmediate as nextTurn } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'

/**
 * For long work in the main thread: what it returns is to be called and awaited between its steps, so that signals are heard
 * and other work goes on. A step must be short. Costs next to nothing unless the event loop is due.
 *
 * @param phase what is interrupted: `during the checkout`.
 * @returns a function that throws ForerunError `interrupted` when the signal has been raised.
 */
export function hearSignals(signal: AbortSignal, phase: string): () => Promise<void> {
  let turned = performance.now()
  return async () => {
    if (performance.now() - turned > longestTurn) {
      await nextTurn()
      turned = performance.now()
    }
    if (signal.aborted) throw interruption(signal, phase)
  }
}

/** The error that an aborted signal ends work with: its reason, where that is an error of ours. */
export function interruption(signal: AbortSignal, phase?: string): ForerunError {
  if (signal.reason instanceof ForerunError) return signal.reason
  const message = phase === undefined ? 'interrupted' : `interrupted ${phase}`
  return new ForerunError('interrupted', message, { cause: signal.reason })
}

/** Milliseconds: so long a signal, or a thread that wants more work, may have to wait. */
const longestTurn = 5
