import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import type { ServiceStatus, SystemdManager } from '../systemd/manager.ts'
import { lastLogLines } from '../systemd/unit-log.ts'
import type { Context } from './context.ts'

/**
 * Starts a service, waits until systemd calls it started, and sees that it stays up for the time of the settings: one that
 * dies at once, or is started anew again and again, is not up.
 *
 * @throws ForerunError `systemd`, with the last lines that the unit wrote to the journal; `interrupted`.
 */
export async function startService(unit: string, context: Context): Promise<void> {
  const manager = await context.manager()
  await explaining(unit, async () => {
    await manager.start(unit)
    await staysUp(unit, { manager, context, settle: context.settings.service.settle })
  })
}

/**
 * Restarts a service in one job, with the active units that require it, and sees that it stays up as long as an update has to,
 * and that those others are active again.
 *
 * @throws as `startService`.
 */
export async function restartService(unit: string, context: Context): Promise<void> {
  const manager = await context.manager()
  const dependants = await manager.dependants(unit)
  await explaining(unit, async () => {
    await manager.restart(unit)
    await staysUp(unit, { manager, context, settle: context.settings.update.settle })
    await areUp(dependants, { unit, manager, context })
  })
}

/** Their jobs may wait for others. */
async function areUp(
  dependants: readonly string[],
  { unit, manager, context }: { unit: string; manager: SystemdManager; context: Context },
): Promise<void> {
  const end = performance.now() + longestWait
  for (;;) {
    const states = await manager.statuses(dependants)
    const down = dependants.find((name) => !['active', 'activating'].includes(states.get(name)?.activeState ?? ''))
    if (down === undefined) return
    if (performance.now() > end) {
      throw new ForerunError('systemd', `${unit} came up, and ${down}, which requires it, did not`, {
        hint: `See: journalctl -u ${down}`,
      })
    }
    await wait(interval, unit, context)
  }
}

/** Milliseconds for units that require a service to follow it. */
const longestWait = 10_000

/** What fails is told with what the unit wrote meanwhile. */
async function explaining(unit: string, action: () => Promise<void>): Promise<void> {
  // The journal tells its times in microseconds, and the start is later.
  const since = Math.floor(Date.now() / 1000)
  try {
    await action()
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code !== 'systemd') throw error
    const details = await lastLogLines(unit, { since })
    const { message, hint = `See: journalctl -u ${unit}` } = error
    throw new ForerunError(error.code, message, { hint, details, cause: error })
  }
}

async function staysUp(
  unit: string,
  options: { manager: SystemdManager; context: Context; settle: number },
): Promise<void> {
  const { manager, context, settle } = options
  const end = performance.now() + settle
  const { restarts } = await manager.service(unit)
  for (;;) {
    const now = await manager.service(unit)
    const fault = serviceFault(now, restarts)
    if (fault !== undefined) throw new ForerunError('systemd', `${unit} started and did not stay up: ${fault}`)
    const left = end - performance.now()
    if (left <= 0) return
    await wait(Math.min(left, interval), unit, context)
  }
}

async function wait(milliseconds: number, unit: string, { signal }: Context): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch((cause) => {
    throw new ForerunError('interrupted', `interrupted while ${unit} starts`, { cause })
  })
}

/** Milliseconds between looks. */
const interval = 100

/** In words that follow the unit's name and a colon; undefined for a service that is up, or has done its work. */
function serviceFault({ activeState, subState, type, result, restarts }: ServiceStatus, before: number) {
  if (restarts > before || subState.startsWith('auto-restart'))
    return `it ended${result === 'success' ? '' : ` (${result})`}, and systemd starts it again`
  if (activeState === 'failed') return `it failed (${result})`
  const hasEnded = activeState === 'inactive' || activeState === 'deactivating'
  return hasEnded && type !== 'oneshot' ? 'it ended by itself' : undefined
}
