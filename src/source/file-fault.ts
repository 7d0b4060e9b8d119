import { ForerunError } from '../errors.ts'
import { shownWords } from '../image/reference.ts'

/** The error for files that hold no image that can be read. `reason` goes on after the path: `lacks index.json`. */
export function unreadable(
  path: string,
  reason: string,
  { hint = damagedHint, cause }: { hint?: string; cause?: unknown } = {},
): ForerunError {
  return new ForerunError('archive', `'${shownWords(path)}' ${reason}`, { hint, cause })
}

/** As `unreadable`, for what the file system said. */
export function systemFault(path: string, cause: unknown): ForerunError {
  const { code = '' } = cause as NodeJS.ErrnoException
  const [reason, hint] = systemReasons[code] ?? [`cannot be read (${code})`, 'Check the file and the disk under it.']
  return unreadable(path, reason, { hint, cause })
}

/** Makes an error about a document name the file that holds it. What is no ForerunError is returned as it is. */
export function namingPath(path: string, error: unknown): unknown {
  if (!(error instanceof ForerunError) || error.code === 'interrupted') return error
  if (error.message.includes(shownWords(path))) return error
  const { code, message, hint } = error
  return new ForerunError(code, `'${shownWords(path)}': ${message}`, { ...(hint && { hint }), cause: error })
}

/** @throws ForerunError `interrupted` when the signal was raised. */
export function checkInterrupted({ signal }: { readonly signal: AbortSignal }): void {
  if (signal.aborted) throw new ForerunError('interrupted', 'the transfer was interrupted', { cause: signal.reason })
}

const damagedHint = 'It is damaged or was not written to its end. Make it again.'

const systemReasons: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ENOENT: ['does not exist', 'Check the path.'],
  ENOTDIR: ['does not exist: a part of the path is no folder', 'Check the path.'],
  EACCES: ['may not be read', 'Run the command as root, or change the permissions.'],
  EPERM: ['may not be read', 'Run the command as root, or change the permissions.'],
  ELOOP: ['is a symbolic link, which is not followed here', 'Put the file itself there.'],
}
