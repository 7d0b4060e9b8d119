import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execute } from '../lab/process.ts'

/** Of one run of a command to its end, with all processes that it waited for. */
export interface Run {
  /** Wall time in seconds. */
  readonly seconds: number
  /** User and system time in seconds. */
  readonly cpu: number
  /** Of the largest of its processes, in MB (10^6 bytes). */
  readonly peak: number
}

/**
 * What a login has. The bench's own environment may hold what slows programs down: NODE_EXTRA_CA_CERTS and SSL_CERT_DIR,
 * as some build services set them, cost every start of Node 40 ms.
 */
export const bareEnvironment = { PATH: process.env.PATH, HOME: process.env.HOME }

/** Runs a command under GNU time. @param options.scratch a folder to write to. @throws unless it succeeds. */
export async function measure(
  argv: readonly string[],
  { scratch, cwd }: { scratch: string; cwd?: string },
): Promise<Run> {
  const report = join(scratch, 'time')
  const timed = ['/usr/bin/time', '--format=%e %U %S %M', `--output=${report}`, ...argv]
  await execute(timed, {
    timeout: 900_000,
    env: bareEnvironment,
    ...(cwd === undefined ? {} : { cwd }),
  })
  const [seconds = 0, user = 0, system = 0, kibibytes = 0] = (await readFile(report, 'utf8')).split(' ').map(Number)
  return { seconds, cpu: user + system, peak: (kibibytes * 1024) / 1e6 }
}

/** The one in the middle, field by field. */
export function medianRun(runs: readonly Run[]): Run {
  const of = (field: keyof Run): number => median(runs.map((run) => run[field]))
  return { seconds: of('seconds'), cpu: of('cpu'), peak: Math.max(...runs.map(({ peak }) => peak)) }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
