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
  // The journal tells its times in microseconds, and the start is later.
  const since = Math.floor(Date.now() / 1000)
  try {
    await manager.start(unit)
    await staysUp(unit, { manager, context })
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code !== 'systemd') throw error
    const details = await lastLogLines(unit, { since })
    const { message, hint = `See: journalctl -u ${unit}` } = error
    throw new ForerunError(error.code, message, { hint, details, cause: error })
  }
}

async function staysUp(
  unit: string,
  { manager, context: { settings, signal } }: { manager: SystemdManager; context: Context },
): Promise<void> {
  const end = performance.now() + settings.service.settle
  const { restarts } = await manager.service(unit)
  for (;;) {
    const now = await manager.service(unit)
    const fault = serviceFault(now, restarts)
    if (fault !== undefined) throw new ForerunError('systemd', `${unit} started and did not stay up: ${fault}`)
    const left = end - performance.now()
    if (left <= 0) return
    await sleep(Math.min(left, interval), undefined, { signal }).catch((cause) => {
      throw new ForerunError('interrupted', `interrupted while ${unit} starts`, { cause })
    })
  }
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
