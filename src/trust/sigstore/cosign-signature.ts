import * as v from 'valibot'
import type { SigstoreSignature } from '../../image/signature.ts'
import { SignatureFault } from '../signature-fault.ts'
import { parseSimpleSigning } from '../simple-signing.ts'
import { parseStrictJson } from '../strict-json.ts'
import { decodeBase64 } from './base64.ts'
import { parseCertificates } from './certificate.ts'
import type { Claim } from './claim.ts'
import type { LogEntry } from './log-entry.ts'
import type { SignedMessage } from './signed-message.ts'
import type { TrustRoot } from './trust-root.ts'

type CosignSignature = Extract<SigstoreSignature, { kind: 'simple-signing' }>

/** Annotations of the layer, as cosign's signature specification has them. */
const annotation = {
  signature: 'dev.cosignproject.cosign/signature',
  entry: 'dev.sigstore.cosign/bundle',
  certificate: 'dev.sigstore.cosign/certificate',
  chain: 'dev.sigstore.cosign/chain',
} as const

/**
 * Reads a signature of cosign's tag scheme as far as the policy needs it: what it does not ask for may be malformed.
 *
 * @throws SignatureFault
 */
export function readCosignSignature(
  { payload, annotations }: CosignSignature,
  { signer, logKeys }: TrustRoot,
): SignedMessage {
  const signature = decodeBase64(annotations[annotation.signature] ?? '')
  if (signature === undefined || signature.length === 0) {
    throw new SignatureFault(`has no signature in base64 in its annotation ${annotation.signature}`)
  }
  return {
    message: payload,
    signature,
    certificates: signer.kind === 'keys' ? [] : readCertificates(annotations),
    entries: logKeys.length === 0 ? [] : readEntries(annotations),
  }
}

/** What was signed. To be read only when it is known who signed it. @throws SignatureFault */
export function cosignClaim({ payload }: CosignSignature): Claim {
  return parseSimpleSigning(payload, { type: 'cosign container image signature' })
}

function readCertificates(annotations: CosignSignature['annotations']): SignedMessage['certificates'] {
  const text = annotations[annotation.certificate]
  if (text === undefined) throw new SignatureFault(`lacks the annotation ${annotation.certificate}`)
  const leaves = parseCertificates(text)
  if (leaves.length > 1)
    throw new SignatureFault(`has more than one certificate in its annotation ${annotation.certificate}`)
  const chain = annotations[annotation.chain] ?? ''
  return chain === '' ? leaves : [...leaves, ...parseCertificates(chain)]
}

const entrySchema = v.strictObject({
  SignedEntryTimestamp: v.string(),
  Payload: v.strictObject({
    body: v.string(),
    integratedTime: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    logIndex: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    logID: v.string(),
  }),
})

function readEntries(annotations: CosignSignature['annotations']): LogEntry[] {
  const text = annotations[annotation.entry]
  if (text === undefined) return []
  const { SignedEntryTimestamp, Payload } = parseEntry(text)
  const promise = decodeBase64(SignedEntryTimestamp)
  if (promise === undefined || decodeBase64(Payload.body) === undefined) throw unreadableEntry()
  const { body, integratedTime, logIndex, logID } = Payload
  return [{ body, integratedTime, logIndex, logId: logID, promise, proof: undefined }]
}

function parseEntry(text: string): v.InferOutput<typeof entrySchema> {
  try {
    const result = v.safeParse(entrySchema, parseStrictJson(Buffer.from(text)), { abortEarly: true })
    if (result.success) return result.output
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw unreadableEntry(cause)
  }
  throw unreadableEntry()
}

function unreadableEntry(cause?: unknown): SignatureFault {
  return new SignatureFault(`has a malformed annotation ${annotation.entry}`, { cause })
}
