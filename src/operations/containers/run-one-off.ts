import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { enterGroup } from '../../bundle/drop-in.ts'
import { formatJson } from '../../bundle/json-text.ts'
import { oneOffConfiguration, requireSources } from '../../bundle/one-off.ts'
import type { RuntimeConfiguration } from '../../bundle/runtime-schema.ts'
import { ForerunError } from '../../errors.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import { type AttachedSignal, ProgramFailure, run, runAttached } from '../../host/run.ts'
import type { OneOff } from '../one-off.ts'

export interface OneOffCommand {
  /** That of the bundle whose container it is. */
  readonly configuration: RuntimeConfiguration
  readonly bundle: string
  /** None: the command of the configuration. */
  readonly words: readonly string[]
  /** What makes absent sources of bind mounts, in a user's words. */
  readonly sourceHint: string
}

/**
 * Runs one command in a container of its own, with the terminal of this process where there is one. The runtime and the container are
 * in a scope of systemd, to whose control group the whole hierarchy below is delegated.
 *
 * A signal that the command would have ended by, were it not the first process of its namespace, ends it, too.
 *
 * @returns its exit status; 128 plus the signal's number when a signal ended it.
 * @param signal one that was raised before the command is started.
 * @throws ForerunError `configuration` for an absent source of a bind mount, `interrupted`.
 */
export async function runOneOff(oneOff: OneOff, command: OneOffCommand, signal: AbortSignal): Promise<number> {
  const { folder, id, scope, runtime } = oneOff
  const configuration = oneOffConfiguration(command.configuration, {
    words: command.words,
    terminal: ownTerminal(),
    cgroup: `/${slice}/${scope}`,
    folder: command.bundle,
  })
  requireSources(configuration, { exists: existsSync, hint: command.sourceHint })
  writeFileSync(join(folder, 'config.json'), formatJson(configuration), { mode: 0o600 })
  // In a file: some versions of systemd-run replace variables in their words.
  writeFileSync(join(folder, 'start'), `${forgetService}\n${enterGroup}\n`, { mode: 0o600 })
  const ended = new AbortController()
  const endings: Promise<AttachedSignal | undefined>[] = []
  const onSignal = (signal: AttachedSignal): void => void endings.push(endUncaught(oneOff, signal, ended.signal))
  const words = [
    ...['--scope', '--quiet', '--collect', `--unit=${scope}`, `--slice=${slice}`, `--description=forerun run ${id}`],
    ...['--property=Delegate=yes', '--property=TimeoutStopSec=10s'],
    ...['/bin/sh', join(folder, 'start'), runtime, 'run', '--pid-file', pidFile(oneOff), '--bundle', folder, id],
  ]
  if (signal.aborted) throw new ForerunError('interrupted', `interrupted before ${id} was started`)
  const status = await runAttached('systemd-run', words, { folder, onSignal })
  ended.abort()
  const killedBy = (await Promise.all(endings)).find((signal) => signal !== undefined)
  const isKilled = status === 128 + constants.signals.SIGKILL
  return isKilled && killedBy !== undefined ? 128 + constants.signals[killedBy] : status
}

const slice = 'system.slice'

/** A runtime would wait for a readiness that is another's to tell, and hand on sockets that are not the container's. */
const forgetService = 'unset NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES'

function pidFile({ folder }: OneOff): string {
  return join(folder, 'pid')
}

function ownTerminal(): { name: string; width: number; height: number } | undefined {
  if (!isatty(0) || !isatty(1)) return undefined
  const { columns = 80, rows = 24 } = process.stdout
  return { name: process.env.TERM || 'xterm', width: columns, height: rows }
}

/**
 * The kernel keeps from the first process of a namespace every signal that it does not handle itself (pid_namespaces(7)). One
 * that would have ended any other process ends the container.
 *
 * @returns the signal if it did.
 */
async function endUncaught(
  oneOff: OneOff,
  signal: AttachedSignal,
  ended: AbortSignal,
): Promise<AttachedSignal | undefined> {
  while (!ended.aborted) {
    await sleep(grace)
    const pid = readWhenPresent(pidFile(oneOff))?.toString()
    if (pid === undefined || pid === '' || ended.aborted) continue
    if (!isDefault(processStatus(pid), constants.signals[signal])) return undefined
    await run(oneOff.runtime, ['kill', oneOff.id, 'KILL'], { timeout: 10_000 }).catch(tookTooLong)
    return signal
  }
  return undefined
}

/** A runtime that does not answer is found out by the cleaning up. */
function tookTooLong(error: unknown): void {
  if (!(error instanceof ProgramFailure)) throw error
}

/** Empty for a process that is gone. */
function processStatus(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''
    throw error
  }
}

/** Milliseconds in which a process that ends by a signal has done so. */
const grace = 100

/** Whether a process neither handles, ignores nor waits for a signal: proc_pid_status(5). */
function isDefault(status: string, signal: number): boolean {
  const masks = ['SigBlk', 'SigIgn', 'SigCgt'].map((name) => new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status))
  return masks.every((mask) => mask !== null && ((BigInt(`0x${mask[1]}`) >> BigInt(signal - 1)) & 1n) === 0n)
}
