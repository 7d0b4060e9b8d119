import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LabHost } from '../host.ts'
import type { StressCommand } from './commands.ts'

/** What became of a command of a stress run. */
export interface Ended {
  readonly command: StressCommand
  /** Unix time in milliseconds. */
  readonly began: number
  readonly ended: number
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  readonly records: readonly LogRecord[]
  /** Whether its signal reached it. */
  readonly signalled: boolean
}

/** A line that `--debug` logs. */
export interface LogRecord {
  readonly time: number
  readonly msg: string
}

/**
 * Runs a command to its end, and sends it its signal on the way, to forerun's process alone: as kill(1) does.
 *
 * @throws when it takes longer than `patience` milliseconds: something waits for ever.
 */
export async function runCommand(host: LabHost, command: StressCommand, patience: number): Promise<Ended> {
  const began = Date.now()
  const started = host.start(['forerun', ...command.words], { check: false, timeout: patience })
  const over = new AbortController()
  let signalled = false
  const signalling = sendLater(started.child.pid, command.signal, over.signal).then((sent) => {
    signalled = sent
  })
  try {
    const { status, stdout, stderr } = await started.finished
    return {
      ...{ command, began, ended: Date.now(), status, stdout, stderr },
      records: stderr.split('\n').flatMap(logRecord),
      get signalled() {
        return signalled
      },
    }
  } finally {
    over.abort()
    await signalling
  }
}

async function sendLater(
  shell: number | undefined,
  signal: StressCommand['signal'],
  over: AbortSignal,
): Promise<boolean> {
  if (signal === undefined) return false
  await sleep(signal.after, undefined, { signal: over }).catch(() => {})
  const process_ = over.aborted ? undefined : onlyChild(shell)
  if (process_ === undefined) return false
  try {
    process.kill(process_, signal.name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** What nsenter(1) runs. */
function onlyChild(parent: number | undefined): number | undefined {
  try {
    return Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim()) || undefined
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

function logRecord(line: string): LogRecord[] {
  if (!line.startsWith('{"level":')) return []
  try {
    const { time, msg } = JSON.parse(line) as { time: string; msg: string }
    return [{ time: Date.parse(time), msg }]
  } catch {
    // Torn by a SIGKILL.
    return []
  }
}
