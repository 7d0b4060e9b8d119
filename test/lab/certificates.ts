import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execute } from './process.ts'

export interface Certificates {
  /** To be trusted by a client. */
  readonly caFile: string
  readonly certificateFile: string
  readonly keyFile: string
}

/** Makes a throwaway authority in a folder, and a certificate of it for 127.0.0.1, ::1 and localhost. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const path = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await execute([
    ...['openssl', 'req', '-x509', ...key, '-keyout', path('ca.key'), '-out', path('ca.crt'), '-days', '2'],
    ...['-subj', '/CN=forerun lab authority'],
  ])
  await execute([
    ...[
      'openssl',
      'req',
      '-new',
      ...key,
      '-keyout',
      path('server.key'),
      '-out',
      path('server.csr'),
      '-subj',
      '/CN=localhost',
    ],
  ])
  writeFileSync(path('server.ext'), 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\nextendedKeyUsage=serverAuth\n')
  await execute([
    ...['openssl', 'x509', '-req', '-in', path('server.csr'), '-CA', path('ca.crt'), '-CAkey', path('ca.key')],
    ...['-CAcreateserial', '-days', '2', '-extfile', path('server.ext'), '-out', path('server.crt')],
  ])
  return { caFile: path('ca.crt'), certificateFile: path('server.crt'), keyFile: path('server.key') }
}

/** The DER form of the first certificate in a file, as base64. */
export function certificateDer(file: string): string {
  const pem = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(readFileSync(file, 'utf8'))
  if (pem?.[1] === undefined) throw new Error(`${file} holds no certificate`)
  return pem[1].replace(/\s/g, '')
}
