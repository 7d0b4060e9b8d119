import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { dictionary } from '../image/descriptor.ts'
import { parseJson } from '../image/json.ts'
import type { FoundSignature, ImageSignatures } from '../image/signature.ts'

/** As containers/image has it; a signature has a few kilobytes. */
export const largestSignature = 4 * 1024 * 1024

/** One place does not hold more; containers/image reads as many. */
export const mostSignatures = 128

export const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json'

/**
 * Signatures that lie in files of their own, as in a lookaside storage and in `dir:` images: an OpenPGP message, or a zero byte,
 * the name of a format, a line feed and what the format says (`sigstore-json`). Attachments other than signatures are left out.
 *
 * @throws ForerunError `signature` for what is neither.
 */
export function signaturesOfBlobs(blobs: readonly FoundSignature<Buffer>[]): ImageSignatures {
  const simple: FoundSignature<Buffer>[] = []
  const sigstore: ImageSignatures['sigstore'][number][] = []
  for (const { origin, content } of blobs) {
    const { format, body } = splitFormat(origin, content)
    if (format === 'simple-signing') simple.push({ origin, content: body })
    else sigstore.push(...sigstoreSignature(origin, body))
  }
  return { simple, sigstore }
}

/** How OpenPGP messages begin that hold a compressed, a one-pass signed or a signed message: RFC 9580, section 4.2. */
const openPgpTags = [8, 4, 2]

function splitFormat(origin: string, blob: Buffer): { format: string; body: Buffer } {
  const first = blob[0] ?? -1
  if (first >= 0x80) {
    const tag = first >= 0xc0 ? first & 0x3f : (first >> 2) & 0x0f
    if (openPgpTags.includes(tag)) return { format: 'simple-signing', body: blob }
  }
  const end = blob.indexOf('\n')
  const format = first === 0 && end > 0 ? blob.toString('latin1', 1, Math.min(end, 65)) : ''
  if (format === 'simple-signing' || format === 'sigstore-json') return { format, body: blob.subarray(end + 1) }
  throw unreadable(origin, 'is neither an OpenPGP message nor a Sigstore signature')
}

const sigstoreSchema = v.object({
  mimeType: v.string(),
  payload: v.pipe(v.string(), v.base64('not base64')),
  annotations: dictionary(v.string()),
})

function sigstoreSignature(origin: string, body: Buffer): ImageSignatures['sigstore'] {
  const { mimeType, payload, annotations } = parseSigstore(origin, body)
  if (mimeType !== simpleSigningType) return []
  return [{ origin, content: { kind: 'simple-signing', payload: Buffer.from(payload, 'base64'), annotations } }]
}

function parseSigstore(origin: string, body: Buffer): v.InferOutput<typeof sigstoreSchema> {
  try {
    return parseJson(body, sigstoreSchema, { document: 'the signature' })
  } catch (cause) {
    if (!(cause instanceof ForerunError)) throw cause
    throw unreadable(origin, `cannot be read: ${cause.message}`, cause)
  }
}

function unreadable(origin: string, what: string, cause?: unknown): ForerunError {
  return new ForerunError('signature', `the signature ${origin} ${what}`, {
    hint: 'Sign the image again, or remove what is there.',
    cause,
  })
}
