import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { benchFolder, type ContainerTools } from '../lab/container-tools.ts'
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

/**
 * Runs a command under GNU time.
 *
 * @param options.scratch a folder to write to; the command's temporary files are there, too.
 * @param options.within another tree in which it runs: getting there does not count.
 * @throws unless it succeeds.
 */
export async function measure(
  argv: readonly string[],
  { scratch, cwd, within }: { scratch: string; cwd?: string; within?: ContainerTools },
): Promise<Run> {
  const seen = within === undefined ? scratch : benchFolder
  const timed = ['/usr/bin/time', '--format=%e %U %S %M', `--output=${join(seen, 'time')}`, ...argv]
  const options = { timeout: 900_000, ...(cwd === undefined ? {} : { cwd }) }
  if (within === undefined) await execute(timed, { env: { ...bareEnvironment, TMPDIR: seen }, ...options })
  else await within.run(timed, { env: { TMPDIR: seen }, ...options })
  const figures = await readFile(join(scratch, 'time'), 'utf8')
  const [seconds = 0, user = 0, system = 0, kibibytes = 0] = figures.split(' ').map(Number)
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
