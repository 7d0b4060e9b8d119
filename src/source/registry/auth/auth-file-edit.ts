import { mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { ForerunError } from '../../../errors.ts'
import { writeFileDurably } from '../../../host/durable-file.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import { type AuthFile, parseAuthFile } from './auth-file.ts'

/** Keys of `auths` and what they are to hold; undefined: no such key any more. */
export type AuthChanges = ReadonlyMap<string, { auth?: string } | undefined>

/**
 * Reads the file that logging in edits; one that is not there has no entries.
 *
 * @throws ForerunError `credentials` when it is malformed or cannot be read, or others than root may change it.
 */
export function editableAuthFile(path: string): AuthFile {
  return parseAuthFile(readBytes(path), { path, format: 'auth.json' })
}

/**
 * Changes entries of the file in one step, and leaves everything else in it as it is, what forerun does not know too. It
 * and the directory that it may need are made for its owner alone. Root writes nowhere where somebody else could have put a link.
 *
 * @throws ForerunError `credentials` when the file cannot be written.
 */
export function changeAuths(path: string, changes: AuthChanges): void {
  const bytes = readBytes(path)
  parseAuthFile(bytes, { path, format: 'auth.json' })
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  const document = (text.trim() === '' ? {} : JSON.parse(text)) as { auths?: Record<string, unknown> | null }
  const kept = Object.entries(document.auths ?? {}).filter(([key]) => !changes.has(key))
  const added = [...changes].filter(([, entry]) => entry !== undefined)
  const changed = { ...document, auths: Object.fromEntries([...kept, ...added]) }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileDurably(targetOf(path), `${JSON.stringify(changed, undefined, '\t')}\n`, { mode: 0o600 })
  } catch (cause) {
    throw inaccessible(path, 'written', cause)
  }
}

function readBytes(path: string): Buffer {
  requireRootOnly(path, 'credentials')
  try {
    return readFileSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw inaccessible(path, 'read', cause)
  }
}

/** A link to the file, as dotfiles often are, stays one. */
function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path
    throw error
  }
}

function inaccessible(path: string, what: 'read' | 'written', cause: unknown): unknown {
  const { code, syscall } = cause as NodeJS.ErrnoException
  if (syscall === undefined) return cause
  return new ForerunError('credentials', `${path} cannot be ${what} (${code})`, {
    hint: 'Name a file for the credentials with --authfile, or see to its directory and permissions.',
    cause,
  })
}
