import type { KeyObject } from 'node:crypto'
import { SignatureFault } from '../signature-fault.ts'
import type { Certificate } from './certificate.ts'
import { checkChain } from './certificate-chain.ts'
import { firstThatHolds } from './first-that-holds.ts'
import { checkLogged, type LogEntry } from './log-entry.ts'
import { checkEntryIsOf } from './logged-signature.ts'
import { isSignedBy, keyDer } from './public-key.ts'
import { checkFulcioSigner, checkPkiSigner } from './signer-certificate.ts'
import type { TrustedSigner, TrustRoot } from './trust-root.ts'

/** What every form of Sigstore's signatures comes down to. Nothing of it is believed yet. */
export interface SignedMessage {
  readonly message: Buffer
  /** Of an envelope, what is in it; `message` is its pre-authentication encoding then. */
  readonly envelopePayload?: Buffer
  readonly signature: Buffer
  /** The signer's, then those that may lead to an authority. Empty: the signer has a key only. */
  readonly certificates: readonly Certificate[]
  readonly entries: readonly LogEntry[]
}

/**
 * Checks who signed a message: by one of the keys, or by a certificate that an authority gave to the one who is wanted. Where
 * the policy has keys of a transparency log, the log must have an entry of this very signature.
 *
 * A certificate of Fulcio lives for minutes, so that it must have been valid when the log got the entry, not now. Its "signed certificate timestamp"
 * is not checked, as containers/image does not: the log's entry holds the certificate already.
 *
 * Entries of Rekor 2 and timestamps (RFC 3161) do not count: policy.json has no place for the keys of those.
 *
 * @throws SignatureFault
 */
export function checkSigner(signed: SignedMessage, { signer, logKeys }: TrustRoot): void {
  if (signer.kind === 'keys') checkKeys(signed, signer.keys, logKeys)
  else if (signer.kind === 'fulcio') checkFulcio(signed, signer, logKeys)
  else checkPki(signed, signer)
}

function checkKeys(signed: SignedMessage, keys: readonly KeyObject[], logKeys: readonly KeyObject[]): void {
  const key = keys.find((candidate) => isSignedBy(candidate, signed))
  if (key === undefined)
    throw new SignatureFault('is by another key than the policy has, or was made for something else')
  if (logKeys.length > 0) checkEntries(signed, { verifier: keyDer(key), logKeys })
}

function checkFulcio(
  signed: SignedMessage,
  signer: Extract<TrustedSigner, { kind: 'fulcio' }>,
  logKeys: readonly KeyObject[],
): void {
  const [leaf, ...intermediates] = signed.certificates
  if (leaf === undefined) throw new SignatureFault('has no certificate')
  const time = checkEntries(signed, { verifier: leaf.x509.raw, logKeys })
  if (time === undefined) {
    throw new SignatureFault('has no signed time: without one nobody knows whether its certificate was valid')
  }
  checkChain(leaf, { roots: signer.roots, intermediates, time })
  checkFulcioSigner(leaf, signer)
  checkMessage(signed, leaf)
}

function checkPki(signed: SignedMessage, signer: Extract<TrustedSigner, { kind: 'pki' }>): void {
  const [leaf, ...intermediates] = signed.certificates
  if (leaf === undefined) throw new SignatureFault('has no certificate')
  const known = [...signer.intermediates, ...intermediates]
  checkChain(leaf, { roots: signer.roots, intermediates: known, time: new Date() })
  checkPkiSigner(leaf, signer)
  checkMessage(signed, leaf)
}

function checkMessage(signed: SignedMessage, { x509 }: Certificate): void {
  if (!isSignedBy(x509.publicKey, signed)) throw new SignatureFault('is not by the key of its certificate')
}

/** One entry is enough. Returns its time. */
function checkEntries(
  { message, envelopePayload, signature, entries }: SignedMessage,
  { verifier, logKeys }: { verifier: Buffer; logKeys: readonly KeyObject[] },
): Date | undefined {
  const check = (entry: LogEntry) => {
    const time = checkLogged(entry, logKeys)
    checkEntryIsOf(Buffer.from(entry.body, 'base64'), { message, envelopePayload, signature, verifier })
    return time
  }
  const nothing = 'has no entry of a transparency log, which the policy wants (rekorPublicKey)'
  return firstThatHolds(entries, check, { nothing })
}
