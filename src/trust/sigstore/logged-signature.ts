import * as v from 'valibot'
import { SignatureFault } from '../signature-fault.ts'
import { decodeBase64 } from './base64.ts'
import { hashOf } from './log-entry.ts'
import { pemBlocks } from './pem.ts'

/** A signature as it is said to be in a log. */
export interface LoggedSignature {
  readonly message: Buffer
  /** Of an envelope, what is in it; `message` is its pre-authentication encoding then. */
  readonly envelopePayload: Buffer | undefined
  readonly signature: Buffer
  /** The key, or the certificate that holds it, in DER. */
  readonly verifier: Buffer
}

/**
 * Checks that a log's entry is of this signature, by this signer, over this message, and not of any other: Rekor's `hashedrekord`
 * and `dsse` of version 0.0.1.
 *
 * @param body of the entry, which the log vouches for.
 * @throws SignatureFault
 */
export function checkEntryIsOf(body: Buffer, signature: LoggedSignature): void {
  const result = v.safeParse(bodySchema, parseBody(body), { abortEarly: true })
  if (!result.success) {
    throw new SignatureFault('has an entry of a transparency log of a kind that forerun does not know')
  }
  const entry = result.output
  const isSame = entry.kind === 'dsse' ? isSameEnvelope(entry.spec, signature) : isSameRecord(entry.spec, signature)
  if (!isSame) throw new SignatureFault('has an entry of a transparency log that is for another signature')
}

const hashSchema = v.object({ algorithm: v.picklist(['sha256', 'sha384', 'sha512']), value: v.string() })

const recordSchema = v.object({
  signature: v.object({ content: v.string(), publicKey: v.object({ content: v.string() }) }),
  data: v.object({ hash: hashSchema }),
})

const envelopeSchema = v.object({
  payloadHash: hashSchema,
  signatures: v.pipe(v.array(v.object({ signature: v.string(), verifier: v.string() })), v.length(1)),
})

const bodySchema = v.variant('kind', [
  v.object({ kind: v.literal('hashedrekord'), apiVersion: v.literal('0.0.1'), spec: recordSchema }),
  v.object({ kind: v.literal('dsse'), apiVersion: v.literal('0.0.1'), spec: envelopeSchema }),
])

function parseBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (cause) {
    // Only ever a SyntaxError.
    throw new SignatureFault('has an entry of a transparency log that cannot be read', { cause })
  }
}

function isSameRecord(spec: v.InferOutput<typeof recordSchema>, signature: LoggedSignature): boolean {
  return (
    isSameBase64(spec.signature.content, signature.signature) &&
    isSameVerifier(spec.signature.publicKey.content, signature.verifier) &&
    isHashOf(spec.data.hash, signature.message)
  )
}

function isSameEnvelope(spec: v.InferOutput<typeof envelopeSchema>, signature: LoggedSignature): boolean {
  const [logged] = spec.signatures
  return (
    logged !== undefined &&
    signature.envelopePayload !== undefined &&
    isSameBase64(logged.signature, signature.signature) &&
    isSameVerifier(logged.verifier, signature.verifier) &&
    isHashOf(spec.payloadHash, signature.envelopePayload)
  )
}

function isSameBase64(text: string, bytes: Buffer): boolean {
  return decodeBase64(text)?.equals(bytes) === true
}

/** A PEM text of one block, in base64. */
function isSameVerifier(text: string, der: Buffer): boolean {
  const blocks = pemBlocks(decodeBase64(text)?.toString('latin1') ?? '')
  return blocks.length === 1 && blocks[0]?.der.equals(der) === true
}

function isHashOf({ algorithm, value }: v.InferOutput<typeof hashSchema>, bytes: Buffer): boolean {
  return value === hashOf(algorithm, bytes)
}
