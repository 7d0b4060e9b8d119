import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { bootId } from '../host/boot-id.ts'
import { type HealthCheck, timeToBeHealthy } from '../image/health-check.ts'
import { readDeployment } from '../store/deployment.ts'
import type { ServiceStatus, SystemdManager } from '../systemd/manager.ts'
import { lastLogLines } from '../systemd/unit-log.ts'
import type { Trial, Verdict } from '../transaction/trial.ts'
import { checkHealth } from './check-health.ts'
import type { Context } from './context.ts'

/** What a service has to do to count as up. */
export interface UpTerms {
  readonly unit: string
  /** Milliseconds that it has to stay up. */
  readonly settle: number
  /** How often systemd may have started it anew. */
  readonly restarts: number
  /** Units that have to be active, too. */
  readonly dependants: readonly string[]
  /** Has to succeed once it has stayed up. */
  readonly health?: { readonly container: string; readonly runtime: string; readonly check: HealthCheck } | undefined
}

/**
 * Starts or restarts a service through `begin`, waits until systemd calls it started, and sees that it stays up: one that
 * dies at once, or is started anew again and again, is not up.
 *
 * @throws ForerunError `systemd`, with the last lines that the unit wrote to the journal; `interrupted`.
 */
export async function bringUp(
  terms: Omit<UpTerms, 'restarts'>,
  begin: () => Promise<void>,
  context: Context,
): Promise<void> {
  const { unit, settle } = terms
  // The journal tells its times in microseconds, and the start is later.
  const since = Math.floor(Date.now() / 1000)
  const fail = async (message: string, options: { culprit: string; hint?: string | undefined; cause?: unknown }) => {
    const { culprit, hint = `See: journalctl -u ${culprit}`, cause } = options
    throw new ForerunError('systemd', message, { hint, details: await lastLogLines(culprit, { since }), cause })
  }
  try {
    await begin()
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code !== 'systemd') throw error
    await fail(error.message, { culprit: unit, hint: error.hint, cause: error })
  }
  context.emit({ type: 'step', message: `${unit} has started; it has to stay up for ${settle / 1000} s` })
  const { restarts } = await (await context.manager()).service(unit)
  const verdict = await awaitVerdict({ ...terms, restarts }, context)
  if (verdict.outcome === 'down') await fail(`${unit} ${verdict.reason}`, verdict)
}

/** What the service of a trial has to do. Whoever begins a trial is strict; a boot may take a service more than one try. */
export function trialTerms(trial: Trial, { paths }: Context): UpTerms {
  const { container, unit, settle, dependants } = trial
  const info = readDeployment(paths.containers, container)?.info
  const check = info?.forerun['health-check']
  return {
    unit,
    settle,
    dependants,
    restarts: trial.boot === bootId() ? 0 : restartsOfBoot,
    health: check && info && { container, runtime: info.runtime, check },
  }
}

/** How often a service may have been started anew at a boot, where others that it needs may come up late. */
const restartsOfBoot = 3

/**
 * Looks once how a trial stands that nobody judges any more. A health check is not called: that may take long.
 *
 * @throws ForerunError `systemd`.
 */
export async function glance(trial: Trial, context: Context): Promise<Verdict> {
  if (trial.boot === bootId()) {
    if (trial.awaits === 'boot') return undecided
    const { invocation, hasJob } = await (await context.manager()).service(trial.unit)
    if (invocation === trial.invocation) {
      // A process that was killed may have asked for the start, which goes on.
      if (hasJob) return undecided
      return { outcome: 'down', reason: 'was not started with what is new', culprit: trial.unit, isUntried: true }
    }
  }
  const { health, ...terms } = trialTerms(trial, context)
  const verdict = await lookAt(terms, await context.manager())
  return verdict.outcome === 'up' && health !== undefined ? undecided : verdict
}

/** As `glance`, again and again until it is decided, and with the health check. @throws ForerunError `interrupted` too. */
export async function awaitTrial(trial: Trial, context: Context): Promise<Verdict> {
  for (;;) {
    const verdict = await glance(trial, context)
    if (verdict.outcome !== 'undecided') return verdict
    const { invocation } = await (await context.manager()).service(trial.unit)
    const terms = trialTerms(trial, context)
    const isStarted = trial.boot !== bootId() || invocation !== trial.invocation
    if (isStarted) return await awaitVerdict(terms, context)
    await pause(interval, terms, context)
  }
}

async function awaitVerdict(terms: UpTerms, context: Context): Promise<Verdict> {
  const manager = await context.manager()
  for (;;) {
    const verdict = await lookAt(terms, manager)
    const healthy = verdict.outcome === 'up' ? await lookAtHealth(terms, context) : verdict
    if (healthy.outcome !== 'undecided') return healthy
    await pause(verdict.outcome === 'up' ? healthInterval : interval, terms, context)
  }
}

/** Milliseconds between looks, and between health checks: as soon as one succeeds nobody has to wait any longer. */
const interval = 100
const healthInterval = 1_000

async function pause(milliseconds: number, { unit }: UpTerms, { signal }: Context): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch((cause) => {
    throw new ForerunError('interrupted', `interrupted while ${unit} starts`, { cause })
  })
}

const undecided = { outcome: 'undecided' } as const

async function lookAt(terms: Omit<UpTerms, 'health'>, manager: SystemdManager): Promise<Verdict> {
  const service = await manager.service(terms.unit)
  const fault = serviceFault(service, terms)
  if (fault !== undefined) {
    return { outcome: 'down', reason: `started and did not stay up: ${fault}`, culprit: terms.unit }
  }
  if (service.hasJob) return undecided
  if (service.activeState === 'inactive') return { outcome: 'up' }
  if (service.activeFor === 0) return undecided
  const states = await manager.statuses(terms.dependants)
  const down = terms.dependants.find((name) => states.get(name)?.activeState !== 'active')
  if (down === undefined) return service.activeFor >= terms.settle ? { outcome: 'up' } : undecided
  const isComing = states.get(down)?.activeState === 'activating' || service.activeFor < timeToFollow
  if (isComing) return undecided
  return { outcome: 'down', reason: `came up, and ${down}, which requires it, did not`, culprit: down }
}

/** Milliseconds for units that require a service to begin to follow it: their jobs may wait for others. */
const timeToFollow = 10_000

/** undefined for a service that is up, on the way, or has done its work. */
function serviceFault(service: ServiceStatus, { restarts: allowed }: Pick<UpTerms, 'restarts'>): string | undefined {
  const { activeState, subState, type, result, restarts, hasJob } = service
  const isWaiting = subState.startsWith('auto-restart')
  if (restarts > allowed || (isWaiting && restarts >= allowed)) {
    return `it ended${result === 'success' ? '' : ` (${result})`}, and systemd starts it again`
  }
  if (hasJob || isWaiting) return undefined
  if (activeState === 'failed') return `it failed (${result})`
  const hasEnded = activeState === 'inactive' || activeState === 'deactivating'
  return hasEnded && type !== 'oneshot' ? 'it ended by itself' : undefined
}

async function lookAtHealth({ unit, health }: UpTerms, context: Context): Promise<Verdict> {
  if (health === undefined) return { outcome: 'up' }
  const { container, runtime, check } = health
  const fault = await checkHealth(container, { runtime, check, context })
  if (fault === undefined) return { outcome: 'up' }
  const { activeFor } = await (await context.manager()).service(unit)
  if (activeFor < timeToBeHealthy(check)) return undecided
  return { outcome: 'down', reason: `came up and is not healthy: ${fault}`, culprit: unit }
}
