import { SignatureFault } from '../signature-fault.ts'
import { type Certificate, oids } from './certificate.ts'

/** Whose certificates are believed, and when. */
export interface Authorities {
  /** Each is believed as it is, whoever issued it. */
  readonly roots: readonly Certificate[]
  /** Believed only for what leads to a root. */
  readonly intermediates: readonly Certificate[]
  /** All certificates of the chain must have been valid at this time. */
  readonly time: Date
}

/**
 * Checks that a certificate for signing code leads to a root (RFC 5280, section 6): names, signatures, times, who may issue and how deep, usages,
 * and no critical extension that is not understood. An authority that is constrained to names is not accepted. Revocation is not
 * looked up.
 *
 * @throws SignatureFault with the reason.
 */
export function checkChain(leaf: Certificate, authorities: Authorities): void {
  checkItself(leaf, authorities.time, 'its certificate')
  const search: Search = { ...authorities, faults: [], checksLeft: mostChecks }
  if (leadsToRoot(leaf, [leaf], search)) return
  throw search.faults[0] ?? new SignatureFault("is by a certificate of none of the policy's authorities")
}

interface Search extends Authorities {
  /** Why certificates that signed one of the chain may not have. */
  readonly faults: SignatureFault[]
  /** Certificates that all signed each other make very many chains. */
  checksLeft: number
}

const mostChecks = 100
const longestChain = 6

/** `below`: the chain so far, the leaf first. */
function leadsToRoot(certificate: Certificate, below: readonly Certificate[], search: Search): boolean {
  const isPossible = (issuer: Certificate) => mayHaveIssued(issuer, { certificate, below, search })
  if (search.roots.some(isPossible)) return true
  if (below.length > longestChain) return false
  return search.intermediates
    .filter(({ x509 }) => below.every((used) => !used.x509.raw.equals(x509.raw)))
    .some((issuer) => isPossible(issuer) && leadsToRoot(issuer, [...below, issuer], search))
}

function mayHaveIssued(
  issuer: Certificate,
  { certificate, below, search }: { certificate: Certificate; below: readonly Certificate[]; search: Search },
): boolean {
  if (!certificate.x509.checkIssued(issuer.x509) || search.checksLeft === 0) return false
  search.checksLeft -= 1
  if (!certificate.x509.verify(issuer.x509.publicKey)) return false
  try {
    checkIssuer(issuer, certificate, { time: search.time, below })
    return true
  } catch (error) {
    if (!(error instanceof SignatureFault)) throw error
    search.faults.push(error)
    return false
  }
}

function checkIssuer(
  issuer: Certificate,
  certificate: Certificate,
  { time, below }: { time: Date; below: readonly Certificate[] },
): void {
  const what = 'the certificate of its authority'
  if (!strongAlgorithms.includes(certificate.signatureAlgorithm)) {
    throw new SignatureFault('is by a certificate that is signed by a weak or an unknown algorithm')
  }
  checkItself(issuer, time, what)
  const deeper = below.slice(1).filter(({ x509 }) => x509.subject !== x509.issuer).length
  if (issuer.authority === undefined) throw new SignatureFault('is by a certificate whose issuer is no authority')
  if (deeper > issuer.authority.depth) {
    throw new SignatureFault('is by a certificate with a longer chain than its authority allows')
  }
  if (issuer.extensions.has(oids.nameConstraints)) {
    throw new SignatureFault(
      'is by a certificate of an authority for certain names only, which forerun does not support',
    )
  }
}

/** ECDSA and RSA with SHA-2, Ed25519: RFC 5758, 8017, 8410. */
const strongAlgorithms = [
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.10',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.3.101.112',
]

/** What is asked of every certificate of a chain. */
function checkItself({ x509, extensions }: Certificate, time: Date, what: string): void {
  if (time < x509.validFromDate || time > x509.validToDate) {
    const [from, to] = [x509.validFromDate, x509.validToDate].map((date) => date.toISOString())
    throw new SignatureFault(`was made at ${time.toISOString()}, when ${what} was not valid (${from} to ${to})`)
  }
  const unknown = [...extensions].find(([oid, { critical }]) => critical && !understood.includes(oid))
  if (unknown !== undefined)
    throw new SignatureFault(`is by a certificate with an unknown critical extension, ${unknown[0]}`)
  // Node calls the extended key usages this.
  const usages: readonly string[] = x509.keyUsage ?? []
  if (extensions.has(oids.extendedKeyUsage) && !usages.some((usage) => codeSigning.includes(usage))) {
    throw new SignatureFault(`is by a certificate that is not for signing code`)
  }
}

const understood: readonly string[] = [oids.keyUsage, oids.subjectAltName, oids.basicConstraints, oids.extendedKeyUsage]

/** And any usage. */
const codeSigning = ['1.3.6.1.5.5.7.3.3', '2.5.29.37.0']
