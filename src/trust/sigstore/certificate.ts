import { X509Certificate } from 'node:crypto'
import { ASN1Obj } from '@sigstore/core'
import { SignatureFault } from '../signature-fault.ts'
import { pemBlocks } from './pem.ts'

/** An X.509 certificate (RFC 5280), with those of its extensions read that decide something here. */
export interface Certificate {
  readonly x509: X509Certificate
  /** By their object identifiers; `value` is what the extension's octet string holds, in DER. */
  readonly extensions: ReadonlyMap<string, Extension>
  /** The object identifier of what its issuer signed it with. */
  readonly signatureAlgorithm: string
  /** undefined: it may issue no certificates. */
  readonly authority: Authority | undefined
}

export interface Extension {
  readonly critical: boolean
  readonly value: Buffer
}

export interface Authority {
  /** How many authorities may stand between it and the end of a chain. */
  readonly depth: number
}

/** @throws SignatureFault when the text is not one or more certificates and nothing else. */
export function parseCertificates(pem: string): Certificate[] {
  const blocks = pemBlocks(pem)
  if (blocks.length === 0 || blocks.some(({ label }) => label !== 'CERTIFICATE')) {
    throw new SignatureFault('has a certificate that is not in PEM format')
  }
  if (blocks.length > mostCertificates) throw new SignatureFault('has too many certificates')
  return blocks.map(({ der }) => parseCertificate(der))
}

/** Enough for any chain; each is tried against each. */
export const mostCertificates = 16

/** @throws SignatureFault for bytes that are no certificate in DER. */
export function parseCertificate(der: Buffer): Certificate {
  try {
    const x509 = new X509Certificate(der)
    // Throws for a key of a kind that OpenSSL lacks.
    if (x509.publicKey.type !== 'public' || !hasTimes(x509)) throw new SignatureFault(unreadable)
    const [body, algorithm] = parseDer(x509.raw).subs
    const extensions = parseExtensions(body)
    const signatureAlgorithm = child(algorithm?.subs ?? [], 0).toOID()
    return { x509, extensions, signatureAlgorithm, authority: authorityOf(extensions) }
  } catch (cause) {
    if (cause instanceof SignatureFault) throw cause
    // OpenSSL and the reader of ASN.1 have many errors for bytes that are no certificate, and no common one.
    throw new SignatureFault(unreadable, { cause })
  }
}

/** The text of an extension that holds one string: UTF8String, and what else is text. undefined: there is no such extension. */
export function textExtension({ extensions }: Certificate, oid: string): string | undefined {
  const extension = extensions.get(oid)
  if (extension === undefined) return undefined
  const { tag, value } = readDer(extension.value)
  const utf8String = 12
  if (!tag.isUniversal() || tag.number !== utf8String) {
    throw new SignatureFault(`has a certificate that is malformed (extension ${oid})`)
  }
  return value.toString('utf8')
}

/** The names of `subjectAltName` of one kind: 1 is a mail address, 2 a host, 6 an address of the web. */
export function alternativeNames({ extensions }: Certificate, kind: 1 | 2 | 6): string[] {
  const extension = extensions.get(oids.subjectAltName)
  if (extension === undefined) return []
  const names = readDer(extension.value).subs.filter(({ tag }) => tag.isContextSpecific(kind))
  return names.map(({ value }) => value.toString('utf8'))
}

export const oids = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const

const unreadable = 'has a certificate that cannot be read'

function hasTimes({ validFromDate, validToDate }: X509Certificate): boolean {
  return Number.isFinite(validFromDate.getTime()) && Number.isFinite(validToDate.getTime())
}

function parseExtensions(body: ASN1Obj | undefined): Map<string, Extension> {
  const extensions = new Map<string, Extension>()
  const list = body?.subs.find(({ tag }) => tag.isContextSpecific(3))?.subs[0]?.subs ?? []
  for (const { subs } of list) {
    const oid = child(subs, 0).toOID()
    if (extensions.has(oid)) throw new SignatureFault('has a certificate that says one thing twice')
    extensions.set(oid, { critical: subs.length > 2 && child(subs, 1).toBoolean(), value: child(subs, -1).value })
  }
  return extensions
}

/** RFC 5280, sections 4.2.1.3 (bit 5 is keyCertSign) and 4.2.1.9. */
function authorityOf(extensions: ReadonlyMap<string, Extension>): Authority | undefined {
  const [constraints, usage] = [extensions.get(oids.basicConstraints), extensions.get(oids.keyUsage)]
  const [isAuthority, depth] = constraints === undefined ? [] : parseDer(constraints.value).subs
  if (isAuthority?.tag.isBoolean() !== true || !isAuthority.toBoolean()) return undefined
  if (usage !== undefined && parseDer(usage.value).toBitString()[5] !== 1) return undefined
  return { depth: depth === undefined ? Number.POSITIVE_INFINITY : Number(depth.toInteger()) }
}

function readDer(bytes: Buffer): ASN1Obj {
  try {
    return parseDer(bytes)
  } catch (cause) {
    // As in `parseCertificate`.
    throw new SignatureFault(unreadable, { cause })
  }
}

function parseDer(bytes: Buffer): ASN1Obj {
  return ASN1Obj.parseBuffer(Buffer.from(bytes))
}

function child(subs: readonly ASN1Obj[], index: number): ASN1Obj {
  const found = subs.at(index)
  if (found === undefined) throw new SignatureFault(unreadable)
  return found
}
