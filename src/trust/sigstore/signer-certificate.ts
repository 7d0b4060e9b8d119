import { isIP } from 'node:net'
import type { SigstoreAuthority } from '../policy.ts'
import { SignatureFault } from '../signature-fault.ts'
import { alternativeNames, type Certificate, textExtension } from './certificate.ts'

type FulcioSigner = Omit<Extract<SigstoreAuthority, { kind: 'fulcio' }>, 'ca' | 'kind'>
type PkiSigner = Omit<Extract<SigstoreAuthority, { kind: 'pki' }>, 'roots' | 'intermediates' | 'kind'>

/**
 * Checks to whom Fulcio gave a certificate (its extensions: OID 1.3.6.1.4.1.57264.1): who said who they are, and who they are.
 * A certificate for several mail addresses does not count, since Fulcio gives none.
 *
 * @throws SignatureFault
 */
export function checkFulcioSigner(certificate: Certificate, wanted: FulcioSigner): void {
  const issuer = oidcIssuer(certificate)
  if (issuer !== wanted.oidcIssuer) {
    throw new SignatureFault(`is by someone whom ${shown(issuer)} vouches for, not ${wanted.oidcIssuer}`)
  }
  if (wanted.subjectEmail !== undefined) {
    const emails = alternativeNames(certificate, 1)
    if (emails.length !== 1 || emails[0] !== wanted.subjectEmail) throw wrongName(emails, wanted.subjectEmail)
  }
  if (wanted.buildSignerUri !== undefined) {
    const uri = textExtension(certificate, buildSignerUri)
    if (uri !== wanted.buildSignerUri) throw wrongName(uri === undefined ? [] : [uri], wanted.buildSignerUri)
  }
}

/** Checks to whom another authority gave a certificate. @throws SignatureFault */
export function checkPkiSigner(certificate: Certificate, { subjectEmail, subjectHostname }: PkiSigner): void {
  if (subjectEmail !== undefined) {
    const emails = alternativeNames(certificate, 1)
    if (!emails.includes(subjectEmail)) throw wrongName(emails, subjectEmail)
  }
  if (subjectHostname !== undefined && !isForHost(certificate, subjectHostname)) {
    throw wrongName(alternativeNames(certificate, 2), subjectHostname)
  }
}

const rawIssuer = '1.3.6.1.4.1.57264.1.1'
const issuerText = '1.3.6.1.4.1.57264.1.8'
const buildSignerUri = '1.3.6.1.4.1.57264.1.9'

/** The first of them is no DER but the text itself. */
function oidcIssuer(certificate: Certificate): string {
  const raw = certificate.extensions.get(rawIssuer)?.value.toString('utf8')
  const text = textExtension(certificate, issuerText)
  if (raw !== undefined && text !== undefined && raw !== text) {
    throw new SignatureFault('is by a certificate that names two issuers of identities')
  }
  const issuer = text ?? raw
  if (issuer === undefined) throw new SignatureFault('is by a certificate that names no issuer of identities')
  return issuer
}

function isForHost({ x509 }: Certificate, host: string): boolean {
  if (isIP(host) !== 0) return x509.checkIP(host) !== undefined
  return x509.checkHost(host, { subject: 'never', partialWildcards: false }) !== undefined
}

function wrongName(names: readonly string[], wanted: string): SignatureFault {
  const found = names.length === 0 ? 'someone unnamed' : names.slice(0, 3).map(shown).join(', ')
  return new SignatureFault(`is by ${found}, not ${wanted}`)
}

/** Words of a certificate, fit for a message of one line. */
function shown(words: string): string {
  return words.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?').slice(0, 200)
}
