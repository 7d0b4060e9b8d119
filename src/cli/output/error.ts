import type { ErrorCode } from '../../errors.ts'
import { ForerunError } from '../../errors.ts'
import { printable } from './printable.ts'

export interface ErrorPresentation {
  readonly json: boolean
  readonly debug: boolean
  readonly stdout?: NodeJS.WritableStream
  readonly stderr?: NodeJS.WritableStream
}

/**
 * Prints what a command ends with: on standard error `forerun: MESSAGE`, the details, and a line `hint: HINT` if there is one;
 * with `json`, also `{"error": {"code", "message", "hint", "details"}}` on standard output, where a script reads the result otherwise.
 * The code is `internal`, and the hint to run with `--debug`, for what is no ForerunError: a bug. The stack is printed
 * with `debug` only, and not for `usage`.
 *
 * @returns the exit status: 2 for `usage`, 130 for `interrupted`, else 1.
 */
export function printError(
  error: unknown,
  { json, debug, stdout = process.stdout, stderr = process.stderr }: ErrorPresentation,
): number {
  const { code, message, hint, details } = describe(error)
  stderr.write(`forerun: ${message}\n`)
  for (const line of details) stderr.write(`    ${line}\n`)
  if (hint !== undefined) stderr.write(`hint: ${hint}\n`)
  if (debug && code !== 'usage') stderr.write(stackOf(error))
  if (json) stdout.write(`${JSON.stringify({ error: { code, message, hint: hint ?? null, details } })}\n`)
  return code === 'usage' ? 2 : code === 'interrupted' ? 130 : 1
}

interface Description {
  code: ErrorCode | 'internal'
  message: string
  hint: string | undefined
  details: readonly string[]
}

function describe(error: unknown): Description {
  const known = error instanceof ForerunError ? error : systemError(error)
  if (known !== undefined) {
    const hint = known.hint === undefined ? undefined : printable(known.hint)
    return { code: known.code, message: printable(known.message), hint, details: known.details.map(printable) }
  }
  const message = error instanceof Error ? error.message || error.name : String(error)
  return {
    code: 'internal',
    message: `internal error: ${printable(message)}`,
    hint: 'This is a bug. Run the command again with --debug, and report what that prints.',
    details: [],
  }
}

/** What the system may refuse anywhere, so that not every caller has to translate it. */
function systemError(error: unknown): ForerunError | undefined {
  if (!(error instanceof Error)) return undefined
  if (error.name === 'AbortError') return new ForerunError('interrupted', 'interrupted', { cause: error })
  const { code = '', path, syscall } = error as NodeJS.ErrnoException
  const refusal = refusals[code]
  if (refusal === undefined || syscall === undefined) return undefined
  const subject = path === undefined ? syscall : `${syscall} ${path}`
  return new ForerunError(refusal.code, `${refusal.message} (${subject})`, { hint: refusal.hint, cause: error })
}

const permission = { code: 'permission', message: 'permission denied', hint: 'Run forerun as root.' } as const
const diskFull = {
  code: 'disk-full',
  message: 'no space left on the device',
  hint: 'Make room there; `forerun images prune` removes images that nothing needs.',
} as const
const openFiles = {
  code: 'host-file',
  message: 'too many open files',
  hint: 'Raise the limit: ulimit -n 65536',
} as const

const refusals: Record<string, { code: ErrorCode; message: string; hint: string }> = {
  EACCES: permission,
  EPERM: permission,
  ENOSPC: diskFull,
  EDQUOT: { ...diskFull, message: 'the disk quota is used up' },
  EROFS: {
    code: 'host-file',
    message: 'the file system is read-only',
    hint: 'Mount it writable, or set another place in forerun.conf.',
  },
  EMFILE: openFiles,
  ENFILE: openFiles,
  EIO: {
    code: 'host-file',
    message: 'the device failed to read or write',
    hint: 'See the messages of the kernel: dmesg',
  },
}

/** With the stacks of the causes; the errors' further properties may hold anything, and are left out. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const cause =
    error.cause === undefined ? '' : `caused by: ${stackOf(error.cause) || `${printable(String(error.cause))}\n`}`
  const lines = (error.stack ?? error.message).split('\n')
  return `${lines.map((line) => (line.startsWith(' ') ? `    ${printable(line)}` : printable(line))).join('\n')}\n${cause}`
}
