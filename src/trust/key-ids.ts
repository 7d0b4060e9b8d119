import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ProgramFailure, run } from '../host/run.ts'

/** A primary key of a keyring. */
export interface OpenPgpKey {
  readonly fingerprint: string
  /** `Ann <ann@example.com>` */
  readonly users: readonly string[]
}

/** The keys in a keyring, as the host's gpg tells them; undefined when there is no gpg, or it finds none. */
export async function openPgpKeys(keyring: Buffer): Promise<OpenPgpKey[] | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-gpg-'))
  try {
    const alone = ['--homedir', folder, '--no-options', '--batch', '--no-tty', '--no-autostart']
    const limits = { timeout: 10_000, outputLimit: 4 * 1024 * 1024 }
    const { stdout, status } = await run('gpg', [...alone, '--with-colons', '--show-keys'], {
      input: keyring,
      ...limits,
    })
    const keys = status === 0 ? parseKeys(stdout.toString('utf8')) : []
    return keys.length === 0 ? undefined : keys
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined
    throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Of GnuPG's doc/DETAILS, "Format of the colon listings". */
function parseKeys(listing: string): OpenPgpKey[] {
  const keys: { fingerprint: string; users: string[] }[] = []
  let isPrimary = false
  for (const line of listing.split('\n')) {
    const fields = line.split(':')
    const [record] = fields
    const value = fields[9] ?? ''
    if (record === 'pub' || record === 'sub') isPrimary = record === 'pub'
    if (record === 'fpr' && isPrimary) keys.push({ fingerprint: value, users: [] })
    if (record === 'uid') keys.at(-1)?.users.push(value.replace(/\\x([0-9a-f]{2})/g, escapedByte))
  }
  return keys
}

function escapedByte(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 16))
}
