import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { ProgramFailure, run } from '../host/run.ts'
import { checkGpgStatus } from './gpgv-status.ts'
import { largestSignature, signedMessagePackets } from './openpgp-message.ts'
import { SignatureFault } from './signature-fault.ts'

/**
 * What an OpenPGP message says, when one of the keys signed it. The host's own `gpgv` verifies, else its `gpg`; neither
 * sees the user's keys or settings. What it returns is the text that was verified, not the one that was read before.
 *
 * @param keyrings in the form of `binaryKeyring`.
 * @throws SignatureFault; ForerunError `policy` when the host has neither program.
 */
export async function verifiedText(message: Buffer, { keyrings }: { keyrings: readonly Buffer[] }): Promise<Buffer> {
  if (message.length > largestSignature) throw new SignatureFault(`has more than ${largestSignature} bytes`)
  const packets = signedMessagePackets(message)
  // Only this user may look into it or put something there.
  const folder = mkdtempSync(join(tmpdir(), 'forerun-gpg-'))
  try {
    const files = keyrings.map((keyring, index) => written(join(folder, `keyring-${index}.gpg`), keyring))
    const { status, text, isClean } = await runGpg(folder, {
      keyrings: files,
      message: written(join(folder, 'message'), packets),
    })
    checkGpgStatus(status)
    if (!isClean) throw new SignatureFault('was not verified')
    return text
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function written(path: string, content: Buffer): string {
  writeFileSync(path, content, { mode: 0o600, flag: 'wx' })
  return path
}

interface GpgResult {
  /** What it said on its status descriptor. */
  readonly status: string
  readonly text: Buffer
  /** Whether its exit status was 0. */
  readonly isClean: boolean
}

async function runGpg(folder: string, files: { keyrings: readonly string[]; message: string }): Promise<GpgResult> {
  const keyrings = files.keyrings.flatMap((file) => ['--keyring', file])
  const words = ['--homedir', folder, '--status-fd', '3', ...keyrings, '--output', '-']
  const result =
    (await runBounded('gpgv', [...words, files.message])) ??
    (await runBounded('gpg', [...gpgAlone, ...words, '--verify', files.message]))
  if (result !== undefined) return result
  throw new ForerunError(
    'policy',
    'policy.json wants signatures of OpenPGP, and gpgv, which verifies them, is not installed',
    {
      hint: 'Install it: apt install gpgv, or dnf install gnupg2.',
    },
  )
}

/** Makes gpg as simple as gpgv: no settings, no agent, no network, and no keys but those given. */
const gpgAlone = [
  ...['--no-options', '--batch', '--no-tty', '--no-autostart', '--disable-dirmngr', '--no-auto-key-retrieve'],
  ...['--no-auto-key-locate', '--no-default-keyring', '--trust-model', 'always'],
]

/** Milliseconds; a real signature takes ten. */
const longest = 30_000

/** undefined when there is no such program. One that does not come to its end has verified nothing. */
async function runBounded(program: string, words: readonly string[]): Promise<GpgResult | undefined> {
  const environment = { PATH: process.env.PATH, LC_ALL: 'C' }
  const limits = { timeout: longest, outputLimit: largestSignature }
  try {
    const { status, stdout, statusPipe } = await run(program, words, { environment, hasStatusPipe: true, ...limits })
    return { status: statusPipe.toString('latin1'), text: stdout, isClean: status === 0 }
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error
    return error.fault === 'absent' ? undefined : { status: '', text: Buffer.alloc(0), isClean: false }
  }
}
