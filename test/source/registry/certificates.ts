import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** Certificates of an authority that only this test has, made by openssl. */
export function makeCertificates(): {
  authority: string
  good: Certificate
  expired: Certificate
  otherHost: Certificate
  selfSigned: Certificate
} {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-certificates-'))
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' })
  const here = 'IP:127.0.0.1,DNS:localhost'
  const selfSigned = (name: string, extensions: string[]) => {
    const common = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2']
    openssl(...common, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`, ...extensions)
    return read(folder, name)
  }
  /** `dates`: OpenSSL 3.0 makes certificates of the past only through `openssl ca`. */
  const signed = (name: string, hosts: string, dates: string[]) => {
    const subject = ['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`]
    openssl('req', '-new', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', ...subject)
    writeFileSync(join(folder, 'extensions'), `subjectAltName=${hosts}\n`)
    const signer = ['-config', 'ca.conf', '-batch', '-notext', '-cert', 'authority.crt', '-keyfile', 'authority.key']
    openssl('ca', ...signer, '-extfile', 'extensions', '-in', `${name}.csr`, '-out', `${name}.crt`, ...dates)
    return read(folder, name)
  }
  try {
    writeFileSync(join(folder, 'ca.conf'), authorityConfiguration)
    writeFileSync(join(folder, 'index'), '')
    const authority = selfSigned('authority', ['-addext', 'keyUsage=critical,keyCertSign']).cert
    return {
      authority,
      good: signed('good', here, ['-days', '2']),
      expired: signed('expired', here, ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z']),
      otherHost: signed('other', 'DNS:registry.example', ['-days', '2']),
      selfSigned: selfSigned('self', ['-addext', `subjectAltName=${here}`]),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const authorityConfiguration = `
[ca]
default_ca = test
[test]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
`

function read(folder: string, name: string): Certificate {
  const text = (suffix: string) => readFileSync(join(folder, `${name}.${suffix}`), 'utf8')
  return { key: text('key'), cert: text('crt') }
}
