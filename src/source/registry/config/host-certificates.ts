import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../../../errors.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import { type ContainersPlace, dropInFolders } from './containers-folders.ts'

/** What is believed of one registry beside what the system trusts, and who one is to it. In PEM. */
export interface HostCertificates {
  readonly authorities: readonly string[]
  /** Client certificates with their keys. */
  readonly clients: readonly { readonly cert: string; readonly key: string }[]
}

/**
 * Reads the certificates for a registry (containers-certs.d(5)): `*.crt` are authorities, `NAME.cert` and `NAME.key` a client's certificate
 * and its key. They are in the first `certs.d/HOST[:PORT]` that there is: the user's, that of `/etc/containers` and
 * `/usr/share/containers`, and Docker's; or in `certDir`, which has to be there then.
 *
 * @param host as in the image's name: `registry.example:5000`, `docker.io`.
 * @throws ForerunError `settings` for a file that cannot be read, holds something else, or lacks its other half.
 */
export function readHostCertificates(
  host: string,
  { certDir, ...place }: ContainersPlace & { certDir?: string | undefined } = {},
): HostCertificates {
  const folder = certDir ?? certificateFolders(host, place).find((path) => existsSync(path))
  if (folder === undefined) return { authorities: [], clients: [] }
  const names = read(folder, () => readdirSync(folder)).sort()
  // A folder that is named on the command line may be anybody's.
  const found = certDir === undefined ? [folder, ...names.map((name) => join(folder, name))] : []
  for (const path of found) requireRootOnly(path, 'settings')
  for (const name of names) {
    const [other] = [name.replace(/\.cert$/, '.key'), name.replace(/\.key$/, '.cert')].filter((half) => half !== name)
    if (other !== undefined && !names.includes(other)) {
      throw new ForerunError('settings', `${join(folder, name)} is there, but ${other} is not`, {
        hint: `A client has NAME.cert and NAME.key in ${folder}; an authority is NAME.crt.`,
      })
    }
  }
  return {
    // A link whose target is gone is an authority that was withdrawn; without a client's half nobody would let it in.
    authorities: names
      .filter((name) => name.endsWith('.crt') && existsSync(join(folder, name)))
      .map((name) => authority(join(folder, name))),
    clients: names.filter((name) => name.endsWith('.cert')).map((name) => client(join(folder, name))),
  }
}

function certificateFolders(host: string, place: ContainersPlace): string[] {
  const tops = dropInFolders(place, { name: 'certs', suffix: '.d' })
  return [...tops, join(place.root ?? '/', 'etc/docker/certs.d')].map((top) => join(top, host))
}

function authority(file: string): string {
  const text = read(file, () => readFileSync(file, 'utf8'))
  checkCertificates(text, file)
  return text
}

function client(file: string): { cert: string; key: string } {
  const cert = read(file, () => readFileSync(file, 'utf8'))
  const keyFile = file.replace(/cert$/, 'key')
  const key = read(keyFile, () => readFileSync(keyFile, 'utf8'))
  const [first] = checkCertificates(cert, file)
  const privateKey = parsed(keyFile, 'a private key in PEM without a password', () => createPrivateKey(key))
  if (first?.checkPrivateKey(privateKey) !== true) throw unfit(keyFile, `is not the key of ${file}`)
  return { cert, key }
}

/** A file of several is checked whole: TLS would pass over what it does not understand. */
function checkCertificates(text: string, file: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]*?-----END [A-Z ]*-----/g) ?? []
  const certificates = blocks.map((block) => parsed(file, 'certificates in PEM', () => new X509Certificate(block)))
  if (certificates.length === 0) throw unfit(file, 'holds no certificate in PEM')
  return certificates
}

function parsed<Result>(file: string, kind: string, parse: () => Result): Result {
  try {
    return parse()
  } catch (cause) {
    throw unfit(file, `does not hold ${kind}`, cause)
  }
}

function read<Result>(path: string, reading: () => Result): Result {
  try {
    return reading()
  } catch (cause) {
    throw unfit(path, `cannot be read: ${(cause as NodeJS.ErrnoException).message}`, cause)
  }
}

function unfit(file: string, what: string, cause?: unknown): ForerunError {
  return new ForerunError('settings', `${file} ${what}`, {
    hint: `Mend or remove ${file}; see containers-certs.d(5).`,
    cause,
  })
}
