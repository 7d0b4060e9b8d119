import * as v from 'valibot'
import { SignatureFault } from '../signature-fault.ts'
import { parseStrictJson } from '../strict-json.ts'
import { decodeBase64 } from './base64.ts'
import { mostCertificates } from './certificate.ts'

/** A Sigstore bundle of version 0.1 to 0.3 (protobuf-specs, `sigstore_bundle.proto`), decoded. */
export type Bundle = v.InferOutput<typeof bundleSchema>

/** @throws SignatureFault for bytes that are none. */
export function parseBundle(bytes: Buffer): Bundle {
  const result = v.safeParse(bundleSchema, readJson(bytes), { abortEarly: true })
  if (result.success) return result.output
  const path = (result.issues[0].path ?? []).map(({ key }) => String(key)).join('.') || 'the whole'
  throw new SignatureFault(`is a malformed bundle: ${path.replace(/\p{Cc}/gu, '?').slice(0, 100)}`)
}

/** Whoever makes more entries wants to keep the reader busy. */
const mostEntries = 16

const base64 = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = decodeBase64(dataset.value)
    if (bytes !== undefined && bytes.length > 0) return bytes
    addIssue({ message: 'not base64' })
    return NEVER
  }),
)

/** Protobuf writes 64 bits as text; 0 is left out. */
const int64 = v.pipe(
  v.optional(v.union([v.string(), v.number()]), '0'),
  v.transform((value) => (/^\d{1,16}$/.test(String(value)) ? Number(value) : Number.NaN)),
  v.safeInteger(),
)

const proofSchema = v.object({
  logIndex: int64,
  treeSize: int64,
  rootHash: base64,
  hashes: v.optional(v.array(base64), []),
  checkpoint: v.optional(v.object({ envelope: v.string() })),
})

const entrySchema = v.object({
  logIndex: int64,
  logId: v.optional(v.object({ keyId: base64 })),
  integratedTime: int64,
  inclusionPromise: v.optional(v.object({ signedEntryTimestamp: base64 })),
  inclusionProof: v.optional(proofSchema),
  canonicalizedBody: base64,
})

const certificateSchema = v.object({ rawBytes: base64 })

const materialSchema = v.object({
  publicKey: v.optional(v.object({ hint: v.optional(v.string()) })),
  certificate: v.optional(certificateSchema),
  x509CertificateChain: v.optional(
    v.object({ certificates: v.pipe(v.array(certificateSchema), v.minLength(1), v.maxLength(mostCertificates)) }),
  ),
  tlogEntries: v.optional(v.pipe(v.array(entrySchema), v.maxLength(mostEntries)), []),
})

const envelopeSchema = v.object({
  payload: base64,
  payloadType: v.string(),
  signatures: v.pipe(v.array(v.object({ sig: base64 })), v.length(1)),
})

const digestSchema = v.object({ algorithm: v.picklist(['SHA2_256', 'SHA2_512']), digest: base64 })

const bundleSchema = v.pipe(
  v.object({
    mediaType: v.pipe(
      v.string(),
      v.regex(/^application\/vnd\.dev\.sigstore\.bundle(?:\.v0\.3\+json|\+json;version=0\.[123])$/),
    ),
    verificationMaterial: materialSchema,
    messageSignature: v.optional(v.object({ messageDigest: v.optional(digestSchema), signature: base64 })),
    dsseEnvelope: v.optional(envelopeSchema),
  }),
  v.check(({ messageSignature, dsseEnvelope }) => (messageSignature === undefined) !== (dsseEnvelope === undefined)),
  v.check(({ verificationMaterial: { publicKey, certificate, x509CertificateChain } }) => {
    return [publicKey, certificate, x509CertificateChain].filter((material) => material !== undefined).length === 1
  }),
)

function readJson(bytes: Buffer): unknown {
  try {
    return parseStrictJson(bytes)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new SignatureFault(`is a malformed bundle: ${cause.message}`, { cause })
  }
}
