import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readWhenPresent } from '../host/read-when-present.ts'
import { ProgramFailure, run } from '../host/run.ts'
import type { HealthCheck } from '../image/health-check.ts'
import type { Context } from './context.ts'

/**
 * Runs the health check of a running container, once.
 *
 * @returns why it failed, in words that follow a colon; undefined for a healthy one.
 * @throws ForerunError `interrupted`.
 */
export async function checkHealth(
  container: string,
  { runtime, check, context }: { runtime: string; check: HealthCheck; context: Context },
): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-'))
  const pidFile = join(folder, 'pid')
  const words = ['exec', '--pid-file', pidFile, container, ...check.command]
  try {
    const { status, stdout, stderr } = await run(runtime, words, { timeout: check.timeout, signal: context.signal })
    if (status === 0) return undefined
    const said = lastLine(stderr) ?? lastLine(stdout.toString())
    return `exit status ${status}${said === undefined ? '' : `, ${said}`}`
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error
    // The runtime has been killed, and not what it started inside.
    if (error.fault === 'time') killFrom(pidFile)
    return `it ${error.what}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function lastLine(text: string): string | undefined {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(-1)
}

function killFrom(pidFile: string): void {
  const pid = Number(readWhenPresent(pidFile)?.toString() ?? '')
  if (!Number.isSafeInteger(pid) || pid <= 1) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
