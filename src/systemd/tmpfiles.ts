import { ForerunError } from '../errors.ts'
import { ownEnvironment } from '../host/own-environment.ts'
import { ProgramFailure, run } from '../host/run.ts'

export interface TmpfilesOptions {
  /** Ends the program; what it has made until then stays. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes what the lines of a tmpfiles.d(5) file ask for (`systemd-tmpfiles --create FILE`), without waiting for the next
 * boot. Can be repeated. `file` is an absolute path. Returns what the program remarks though it succeeds, line by line: that
 * a path exists already as something else, for one.
 * @throws ForerunError `systemd` for lines that cannot be understood and where there is no such program, `host-file` or
 * `disk-full` for what could not be made, `interrupted`.
 */
export async function applyTmpfiles(file: string, options: TmpfilesOptions = {}): Promise<string[]> {
  return runTmpfiles('--create', file, options)
}

/** Removes what lines for removal name (`r`, `R`, `D`; `systemd-tmpfiles --remove`). Otherwise as above. */
export async function removeTmpfiles(lines: string, options: TmpfilesOptions = {}): Promise<string[]> {
  return runTmpfiles('--remove', '-', { ...options, input: lines })
}

const program = 'systemd-tmpfiles'

/** Milliseconds: lines may change the owner of everything in a large tree. */
const longest = 600_000

async function runTmpfiles(
  verb: '--create' | '--remove',
  file: string,
  { signal, input }: TmpfilesOptions & { input?: string },
): Promise<string[]> {
  // Its remarks are wanted here and in plain words, even where this process writes to the journal.
  const plain = { SYSTEMD_LOG_TARGET: 'console', SYSTEMD_LOG_LEVEL: 'notice', SYSTEMD_LOG_COLOR: '0', LC_ALL: 'C' }
  const environment = { ...ownEnvironment(), ...plain }
  const { status, stderr } = await run(program, [verb, file], { signal, input, environment, timeout: longest }).catch(
    (cause) => {
      throw cause instanceof ProgramFailure ? unrunnable(cause) : cause
    },
  )
  const lines = stderr.split('\n').filter((line) => line !== '')
  if (status === 0) return lines
  throw failure(file, { status, lines })
}

function unrunnable(cause: ProgramFailure): ForerunError {
  return new ForerunError('systemd', `cannot run ${program}: it ${cause.what}`, {
    hint: cause.fault === 'time' ? (cause.hint ?? '') : `Install ${program}; it belongs to systemd.`,
    cause,
  })
}

/** systemd-tmpfiles(8), "Exit status"; the numbers are those of sysexits.h. */
const exit = { dataError: 65, cannotCreate: 73 }

function failure(file: string, { status, lines }: { status: number; lines: string[] }): ForerunError {
  const [first = `exit status ${status}`, ...more] = lines
  const remark = more.length === 0 ? first : `${first} (and ${more.length} more)`
  if (status === exit.dataError) {
    return new ForerunError('systemd', `${program} does not understand ${file}: ${remark}`, {
      hint: 'Compare the line with tmpfiles.d(5).',
    })
  }
  if (status === exit.cannotCreate) {
    const full = lines.some((line) => line.includes('No space left on device'))
    return new ForerunError(full ? 'disk-full' : 'host-file', `${program} cannot do what ${file} asks for: ${remark}`, {
      hint: full
        ? 'Make room on the file system of the path named.'
        : 'See what is at the path named, and its directory.',
    })
  }
  return new ForerunError('systemd', `${program} failed with ${file}: ${remark}`, {
    hint: `See for yourself: ${program} --create ${file}`,
  })
}
