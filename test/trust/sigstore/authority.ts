import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { bits, boolean, der, integer, octets, oid, sequence, time, utf8 } from './der.ts'

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export function ecKeys(namedCurve = 'P-256'): KeyPair {
  return generateKeyPairSync('ec', { namedCurve })
}

export function publicPem({ publicKey }: KeyPair): Buffer {
  return Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))
}

/** A certificate together with the key that it is for. */
export interface Holder extends KeyPair {
  readonly name: string
  readonly pem: string
  readonly raw: Buffer
}

export interface Wish {
  readonly name?: string
  readonly keys?: KeyPair
  /** Default: itself. */
  readonly issuer?: Pick<Holder, 'name' | 'privateKey'>
  readonly from?: Date
  readonly to?: Date
  readonly extensions?: readonly Buffer[]
  /** Object identifier and hash. */
  readonly algorithm?: readonly [string, string]
}

/** Makes a certificate of exactly these extensions, good or bad. */
export function certify(wish: Wish): Holder {
  const {
    name = '',
    keys = ecKeys(),
    extensions = [],
    algorithm: [algorithm, hash] = ['1.2.840.10045.4.3.2', 'sha256'],
  } = wish
  const { from = new Date('2020-01-01'), to = new Date('2040-01-01') } = wish
  const issuer = wish.issuer ?? { name, privateKey: keys.privateKey }
  const body = sequence(
    der(0xa0, integer(2)),
    integer(serial++),
    sequence(oid(algorithm)),
    distinguished(issuer.name),
    sequence(time(from), time(to)),
    distinguished(name),
    keys.publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  )
  const raw = sequence(body, sequence(oid(algorithm)), bits(sign(hash, body, issuer.privateKey)))
  return { ...keys, name, raw, pem: pem(raw) }
}

let serial = 1

function distinguished(name: string): Buffer {
  return name === '' ? sequence() : sequence(der(0x31, sequence(oid('2.5.4.3'), utf8(name))))
}

function pem(raw: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${raw.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
}

export function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value))
}

export const authority = (depth?: number): Buffer[] => [
  extension('2.5.29.19', sequence(boolean(true), ...(depth === undefined ? [] : [integer(depth)])), true),
  extension('2.5.29.15', bits(Buffer.of(0b0000_0110), 1), true),
]

export const codeSigning = '1.3.6.1.5.5.7.3.3'

export function usage(...purposes: readonly string[]): Buffer {
  return extension('2.5.29.37', sequence(...purposes.map(oid)))
}

/** `kind`: 1 is a mail address, 2 a host, 6 an address of the web. */
export function names(...list: readonly (readonly [kind: number, name: string])[]): Buffer {
  return extension('2.5.29.17', sequence(...list.map(([kind, name]) => der(0x80 | kind, Buffer.from(name)))), true)
}

/** Which identity provider vouches for the signer, in both of Fulcio's spellings. */
export function oidcIssuer(raw: string | undefined, text: string | undefined = raw): Buffer[] {
  return [
    ...(raw === undefined ? [] : [extension('1.3.6.1.4.1.57264.1.1', Buffer.from(raw))]),
    ...(text === undefined ? [] : [extension('1.3.6.1.4.1.57264.1.8', utf8(text))]),
  ]
}
