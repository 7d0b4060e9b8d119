/** A transfer as it is at some moment. */
export interface TransferState {
  /** Bytes. */
  readonly received: number
  readonly size: number
  /** Bytes per second of late; undefined until that can be told. */
  readonly speed: number | undefined
  /** Seconds that the rest will take at that speed. */
  readonly left: number | undefined
}

export interface Transfer {
  /** `received` is the total so far; times are in milliseconds of one clock. */
  add(received: number, time: number): void
  state(time: number): TransferState
}

/** Follows one transfer; the speed is that of the last seconds, so that it tells of a stall. */
export function transfer(size: number, started: number): Transfer {
  const samples = [{ received: 0, time: started }]
  let received = 0
  return {
    add(total, time) {
      received = total
      const latest = samples.at(-1)
      if (latest !== undefined && time - latest.time < sampleInterval) return
      samples.push({ received, time })
      while (samples.length > 2 && time - (samples[1]?.time ?? time) > window) samples.shift()
    },
    state(time) {
      const first = samples[0] ?? { received: 0, time: started }
      const elapsed = (time - first.time) / 1000
      const speed = elapsed < 0.2 ? undefined : (received - first.received) / elapsed
      const left = speed === undefined || speed === 0 ? undefined : (size - received) / speed
      return { received, size, speed, left }
    },
  }
}

/** Milliseconds. */
const window = 3000
const sampleInterval = 100
