import { setTimeout as delay } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { Refusal } from './connection.ts'
import type { Session } from './session.ts'

export type JobVerb = 'start' | 'restart' | 'stop'

export interface JobOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds between looks at whether systemd still knows the job. */
  readonly probeInterval?: number | undefined
}

/**
 * Queues a job through `queue`, which returns its object path, and waits until systemd removes it; returns the job's
 * result (`done`, `failed`, …; org.freedesktop.systemd1(5), "JobRemoved"), or `lost` when systemd forgot the job and told
 * nothing. Waits as long as systemd does.
 * @throws what `queue` throws; ConnectionLost; CallTimeout when systemd stops answering; ForerunError `interrupted` when
 * the signal aborts or has.
 */
export async function jobResult(
  session: Session,
  queue: () => Promise<string>,
  options: JobOptions = {},
): Promise<string> {
  const { signal, probeInterval = 30_000 } = options
  const ended = Promise.withResolvers<string>()
  // The job can end before the reply that names it has been looked at: results are kept from before the call.
  const results = new Map<string, string>()
  let job: string | undefined
  const settle = (): void => {
    const result = job === undefined ? undefined : results.get(job)
    if (result !== undefined) ended.resolve(result)
  }
  const stopListening = session.onJobRemoved((removed, result) => {
    results.set(removed, result)
    settle()
  })
  const waiting = new AbortController()
  const interrupt = (): void => ended.reject(interrupted(signal))
  signal?.addEventListener('abort', interrupt, { once: true })
  try {
    if (signal?.aborted) interrupt()
    await Promise.race([session.subscribe(), ended.promise])
    job = await Promise.race([queue(), ended.promise])
    settle()
    return await Promise.race([
      ended.promise,
      session.connection.lost,
      lost(session, job, { probeInterval, signal: waiting.signal }),
    ])
  } finally {
    waiting.abort()
    signal?.removeEventListener('abort', interrupt)
    stopListening()
  }
}

function interrupted(signal: AbortSignal | undefined): ForerunError {
  return new ForerunError('interrupted', 'interrupted while waiting for systemd', { cause: signal?.reason })
}

/**
 * Asks from time to time whether systemd still knows the job, and ends with `lost` when it does not: the signal would have
 * come before this answer. So a start ends even if systemd was restarted and forgot who listens.
 */
async function lost(
  session: Session,
  job: string,
  options: { probeInterval: number; signal: AbortSignal },
): Promise<string> {
  const state = {
    path: job,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    signature: 'ss',
    body: ['org.freedesktop.systemd1.Job', 'State'],
  }
  for (;;) {
    await delay(options.probeInterval, undefined, { signal: options.signal })
    try {
      await session.call(state)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      if (error.error === 'org.freedesktop.DBus.Error.UnknownObject') return 'lost'
      // Another refusal tells nothing of the job: systemd is being restarted, say. The next probe will know.
    }
  }
}

/**
 * The error for a job that ended otherwise than in `done`. `cause` is the `Result` property of the service where the result
 * is `failed`.
 */
export function jobFailure(unit: string, verb: JobVerb, result: string, cause?: string): ForerunError {
  const known = (cause === undefined ? undefined : causes[cause]) ?? results[result]
  const [words, hint] = known ?? [`the job ended as '${result}'`, status]
  return new ForerunError('systemd', `cannot ${verb} ${unit}: ${words}`, { hint: hint(shellWord(unit)) })
}

/** Names of mount units may have a backslash. */
function shellWord(unit: string): string {
  return unit.includes('\\') ? `'${unit}'` : unit
}

type Explanation = readonly [words: string, hint: (unit: string) => string]

const journal = (unit: string): string => `See why: journalctl -u ${unit}`
const status = (unit: string): string => `See its state: systemctl status ${unit}`
const dependencies = (unit: string): string => `See which one: systemctl list-dependencies ${unit}`
const otherJob = (unit: string): string =>
  `Another request or a shutdown overrode it: systemctl list-jobs, systemctl status ${unit}`

/** By the result of a job. */
const results: Readonly<Record<string, Explanation>> = {
  failed: ['its processes failed', journal],
  dependency: ['a unit that it requires failed', dependencies],
  timeout: ["it took longer than systemd's time limit for the job", journal],
  canceled: ['the job was canceled', otherJob],
  skipped: ['systemd skipped the job, since it does not apply to the unit as it is now', status],
  invalid: ['the job does not apply to a unit of this kind', status],
  assert: ['an Assert setting of the unit is not met', status],
  unsupported: ['this host does not support units of this kind', status],
  collected: ['systemd dropped the unit before the job ran', status],
  once: ['the unit may run only once and did', status],
  lost: ['systemd forgot the job and told no result', status],
  frozen: ['the unit is frozen', (unit) => `Let it go on: systemctl thaw ${unit}`],
  concurrency: ['the slice of the unit runs as many units as its limit allows', status],
}

/** By the result of a service. */
const causes: Readonly<Record<string, Explanation>> = {
  'exit-code': ['one of its processes ended with an error', journal],
  signal: ['one of its processes was killed by a signal', journal],
  'core-dump': ['one of its processes crashed', journal],
  'oom-kill': ['the kernel ran out of memory for it', journal],
  timeout: ['it was not up within its TimeoutStartSec', journal],
  protocol: ['it did not tell systemd that it is up in the way that its Type asks for', journal],
  resources: ['systemd could not prepare its processes', journal],
  'start-limit-hit': [
    'it was started too often in a short time',
    (unit) => `${journal(unit)}; then: systemctl reset-failed ${unit}`,
  ],
}
