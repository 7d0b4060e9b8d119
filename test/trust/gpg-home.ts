import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { heldFolder, releaseAtEnd } from '../lab/at-end.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'

/**
 * A GnuPG home of the test's own, with keys and signatures by the real gpg.
 *
 *     await using gpg = await gpgHome()
 *     const ann = await gpg.key('ann@example.com')
 *     const message = await gpg.sign(text, { by: [ann] })
 */
export interface GpgHome extends AsyncDisposable {
  readonly path: string
  /** Makes a key, as of 2020. @returns its fingerprint. */
  key(email: string, options?: { lifetime?: string }): Promise<string>
  /** The public keys, binary unless `armor`. */
  publicKey(fingerprints: readonly string[], options?: { armor?: boolean }): Promise<Buffer>
  revoke(fingerprint: string): Promise<void>
  /** A signed message as skopeo makes it; `words` are further ones of gpg. */
  sign(text: string | Buffer, options: { by: readonly string[]; words?: readonly string[] }): Promise<Buffer>
  run(words: readonly string[]): Promise<string>
}

/** For gpg, so that keys and signatures can be of the past. */
export const in2020 = ['--faked-system-time', '20200101T000000!']

export async function gpgHome(): Promise<GpgHome> {
  await ensurePackages(['gpg', 'gpgv', 'gpg-agent'])
  const folder = heldFolder(join(tmpdir(), 'forerun-gpg-test-'))
  const { path } = folder
  // The agent is in a session of its own, and no signal of the group reaches it.
  const killAgent = (): void => void spawnSync('gpgconf', ['--homedir', path, '--kill', 'all'])
  const disarm = releaseAtEnd(killAgent)
  const alone = ['gpg', '--homedir', path, '--batch', '--yes', '--no-tty', '--pinentry-mode', 'loopback']
  const run = async (words: readonly string[]): Promise<string> => {
    return (await execute([...alone, '--passphrase', '', ...words])).stdout
  }
  let count = 0
  const output = async (words: (file: string) => readonly string[]): Promise<Buffer> => {
    const file = join(path, `output-${count++}`)
    await run(words(file))
    return readFileSync(file)
  }
  return {
    path,
    run,
    async key(email, { lifetime = 'never' } = {}) {
      await run([...in2020, '--quick-gen-key', `${email.split('@')[0]} <${email}>`, 'ed25519', 'sign', lifetime])
      const listed = await run(['--with-colons', '--list-keys', email])
      return /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? ''
    },
    publicKey: (fingerprints, { armor = false } = {}) =>
      output((file) => [...(armor ? ['--armor'] : []), '--output', file, '--export', ...fingerprints]),
    async revoke(fingerprint) {
      const certificate = readFileSync(join(path, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8')
      const file = join(path, 'revocation')
      writeFileSync(file, certificate.replace(':-----BEGIN', '-----BEGIN'))
      await run(['--import', file])
    },
    async sign(text, { by, words = [] }) {
      const file = join(path, `text-${count++}`)
      writeFileSync(file, text)
      const users = by.flatMap((fingerprint) => ['--local-user', fingerprint])
      const verb = words.includes('--clear-sign') ? [] : ['--sign']
      return output((signed) => [...users, ...words, '--output', signed, ...verb, file])
    },
    async [Symbol.asyncDispose]() {
      killAgent()
      disarm()
      folder[Symbol.dispose]()
    },
  }
}
