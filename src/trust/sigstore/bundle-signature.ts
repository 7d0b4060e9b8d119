import { dsse } from '@sigstore/core'
import { type Digest, digestOf } from '../../image/digest.ts'
import type { JudgedImage } from '../judgement.ts'
import { SignatureFault } from '../signature-fault.ts'
import { type Bundle, parseBundle } from './bundle.ts'
import { parseCertificate } from './certificate.ts'
import type { Claim } from './claim.ts'
import type { LogEntry } from './log-entry.ts'
import type { SignedMessage } from './signed-message.ts'
import { statementClaims, statementType } from './statement.ts'
import type { TrustRoot } from './trust-root.ts'

/**
 * Reads a bundle: an envelope around an in-toto statement, as `cosign sign` makes it, or a signature over the manifest's own
 * bytes. What the policy does not ask for is not read further than the bundle's format goes.
 *
 * @returns `claims`, to be called only when it is known who signed.
 * @throws SignatureFault
 */
export function readBundle(
  bytes: Buffer,
  { documents }: Pick<JudgedImage, 'documents'>,
  { signer, logKeys }: TrustRoot,
): { signed: SignedMessage; claims: () => Claim[] } {
  const bundle = parseBundle(bytes)
  const proofs = {
    certificates: signer.kind === 'keys' ? [] : certificatesOf(bundle).map(parseCertificate),
    entries: logKeys.length === 0 ? [] : bundle.verificationMaterial.tlogEntries.map(entryOf),
  }
  if (bundle.dsseEnvelope !== undefined) {
    const { payload, payloadType, signature } = envelopeOf(bundle.dsseEnvelope)
    const message = dsse.preAuthEncoding(payloadType, payload)
    return {
      signed: { message, envelopePayload: payload, signature, ...proofs },
      claims: () => statementClaims(payload),
    }
  }
  const { digest, message, signature } = signedDocument(bundle, documents)
  return { signed: { message, signature, ...proofs }, claims: () => [{ digest, dockerReference: undefined }] }
}

function certificatesOf({ verificationMaterial: { certificate, x509CertificateChain } }: Bundle): Buffer[] {
  const chain = certificate === undefined ? (x509CertificateChain?.certificates ?? []) : [certificate]
  return chain.map(({ rawBytes }) => rawBytes)
}

function entryOf(entry: Bundle['verificationMaterial']['tlogEntries'][number]): LogEntry {
  const { logIndex, integratedTime, logId, inclusionPromise, inclusionProof: proof, canonicalizedBody } = entry
  return {
    body: canonicalizedBody.toString('base64'),
    integratedTime,
    logIndex,
    logId: logId?.keyId.toString('hex') ?? '',
    promise: inclusionPromise?.signedEntryTimestamp,
    proof: proof && { ...proof, index: proof.logIndex, checkpoint: proof.checkpoint?.envelope },
  }
}

function envelopeOf({ payload, payloadType, signatures }: NonNullable<Bundle['dsseEnvelope']>): {
  payload: Buffer
  payloadType: string
  signature: Buffer
} {
  const [signature] = signatures
  if (signature === undefined) throw new SignatureFault('has no signature')
  if (payloadType !== statementType) throw new SignatureFault('holds something that is no statement of an image')
  return { payload, payloadType, signature: signature.sig }
}

/** The digest only says which document it is; the signature is checked over the document itself. */
function signedDocument(
  { messageSignature }: Bundle,
  documents: JudgedImage['documents'],
): { digest: Digest; message: Buffer; signature: Buffer } {
  const claimed = messageSignature?.messageDigest
  if (messageSignature === undefined || claimed === undefined) throw new SignatureFault('does not say what it signs')
  const algorithm = claimed.algorithm === 'SHA2_256' ? 'sha256' : 'sha512'
  const digest: Digest = `${algorithm}:${claimed.digest.toString('hex')}`
  const document = documents.find(({ bytes }) => digestOf(bytes, digest) === digest)
  if (document === undefined) throw new SignatureFault(`is for another image, ${digest}`)
  return { digest, message: document.bytes, signature: messageSignature.signature }
}
