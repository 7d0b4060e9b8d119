/** A command that tells by its exit status, inside the container, whether it does its work. Times are milliseconds. */
export interface HealthCheck {
  readonly command: readonly string[]
  /** Between two of them. */
  readonly interval: number
  /** One that takes longer has failed. */
  readonly timeout: number
  /** How many have to fail, one after another, until the container counts as unhealthy. */
  readonly retries: number
  /** After the start, in which failures do not count. */
  readonly startPeriod: number
}

/** What engines take where an image does not say. */
export const healthCheckDefaults = { interval: 30_000, timeout: 30_000, retries: 3, startPeriod: 0 } as const

/** Milliseconds after a start within which a container has to be healthy: as long as an engine would not call it unhealthy. */
export function timeToBeHealthy({ interval, retries, startPeriod }: HealthCheck): number {
  return startPeriod + interval * retries
}

/**
 * As engines keep it in an image's configuration ("Healthcheck"): times in nanoseconds, where 0 is what the engine takes by
 * itself; the first word of `Test` says how to run the others.
 *
 * @returns undefined where the image has none, or says that it wants none.
 */
export function imageHealthCheck(stored: StoredHealthCheck | undefined): HealthCheck | undefined {
  const { Test = [], Interval, Timeout, Retries, StartPeriod } = stored ?? {}
  const [how, ...words] = Test
  const command = how === 'CMD' ? words : how === 'CMD-SHELL' ? shellCommand(words.join(' ')) : []
  if (command.length === 0) return undefined
  const milliseconds = (nanoseconds: number | undefined): number | undefined =>
    nanoseconds === undefined || nanoseconds <= 0 ? undefined : Math.max(1, Math.round(nanoseconds / 1e6))
  return {
    command,
    interval: milliseconds(Interval) ?? healthCheckDefaults.interval,
    timeout: milliseconds(Timeout) ?? healthCheckDefaults.timeout,
    retries: Retries === undefined || Retries <= 0 ? healthCheckDefaults.retries : Retries,
    startPeriod: milliseconds(StartPeriod) ?? healthCheckDefaults.startPeriod,
  }
}

export interface StoredHealthCheck {
  readonly Test?: readonly string[] | undefined
  readonly Interval?: number | undefined
  readonly Timeout?: number | undefined
  readonly Retries?: number | undefined
  readonly StartPeriod?: number | undefined
}

/** How a command of one text is run. */
export function shellCommand(text: string): readonly string[] {
  return text.trim() === '' ? [] : ['/bin/sh', '-c', text]
}
