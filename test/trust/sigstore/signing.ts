import { type KeyObject, sign } from 'node:crypto'
import { dsse } from '@sigstore/core'
import { type Digest, digestOf } from '../../../src/image/digest.ts'
import { parseReference } from '../../../src/image/reference.ts'
import type { SigstoreSignature } from '../../../src/image/signature.ts'
import type { JudgedImage } from '../../../src/trust/judgement.ts'
import type { SigstoreSignedRequirement } from '../../../src/trust/policy.ts'
import { verifySigstore } from '../../../src/trust/sigstore/verify-sigstore.ts'
import { type KeyPair, publicPem } from './authority.ts'
import { entryOf, envelopeRecord, hashedRecord, inclusionProof, promise, type TestLog } from './log.ts'

export const manifest = Buffer.from('{"schemaVersion":2}')
export const digest = digestOf(manifest)
export const repository = 'registry.example/team/app'

/** Makes what cosign makes: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md */
export function cosignPayload(name = repository, claimed: Digest = digest, optional: object | null = null): Buffer {
  const critical = {
    identity: { 'docker-reference': name },
    image: { 'docker-manifest-digest': claimed },
    type: 'cosign container image signature',
  }
  return Buffer.from(JSON.stringify({ critical, optional }))
}

export type Cosigned = Extract<SigstoreSignature, { kind: 'simple-signing' }>

export function cosigned(
  payload: Buffer,
  privateKey: KeyObject,
  {
    hash = 'sha256',
    log,
    time = new Date(),
    verifier = '',
    certificate,
    chain,
  }: {
    hash?: string | null
    log?: TestLog
    time?: Date
    /** PEM, for the log's entry. */
    verifier?: string | Buffer
    certificate?: string
    chain?: string
  } = {},
): Cosigned {
  const signature = sign(hash, payload, privateKey)
  const annotations: Record<string, string> = { 'dev.cosignproject.cosign/signature': signature.toString('base64') }
  if (log !== undefined) {
    const body = hashedRecord({ signature, verifier: certificate ?? verifier, message: payload })
    annotations['dev.sigstore.cosign/bundle'] = rekorBundle(log, body, time)
  }
  if (certificate !== undefined) annotations['dev.sigstore.cosign/certificate'] = certificate
  if (chain !== undefined) annotations['dev.sigstore.cosign/chain'] = chain
  return { kind: 'simple-signing', payload, annotations }
}

export function rekorBundle(log: TestLog, body: object, time: Date): string {
  const entry = entryOf(log, body, time)
  return JSON.stringify({ SignedEntryTimestamp: promise(log, entry).toString('base64'), Payload: entry })
}

export function signStatement({
  claimed = digest as string,
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
  annotations = {},
} = {}): Buffer {
  const [algorithm = '', hex = ''] = claimed.split(':')
  const subject = [{ digest: { [algorithm]: hex }, ...(Object.keys(annotations).length > 0 && { annotations }) }]
  return Buffer.from(
    JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate: {} }),
  )
}

export interface Bundling {
  /** PEM, for the log's entry. */
  readonly verifier?: string | Buffer
  readonly log?: TestLog
  readonly time?: Date
  readonly proved?: 'promise' | 'proof' | 'both'
  /** DER */
  readonly certificate?: Buffer
  readonly version?: string
  readonly payloadType?: string
}

/** As cosign 3 makes it: https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md */
export function bundled(payload: Buffer, privateKey: KeyObject, options: Bundling = {}): Record<string, unknown> {
  const { verifier = '', log, time = new Date(), proved = 'promise', certificate, payloadType } = options
  const type = payloadType ?? 'application/vnd.in-toto+json'
  const signature = sign('sha256', dsse.preAuthEncoding(type, payload), privateKey)
  const body = envelopeRecord({ signature, verifier, payload })
  const { version = 'application/vnd.dev.sigstore.bundle.v0.3+json' } = options
  return {
    mediaType: version,
    verificationMaterial: {
      ...(certificate === undefined ? { publicKey: { hint: 'x' } } : certified(certificate, version)),
      ...(log !== undefined && { tlogEntries: [tlogEntry(log, body, { time, proved })] }),
      timestampVerificationData: {},
    },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: type,
      signatures: [{ sig: signature.toString('base64') }],
    },
  }
}

function certified(certificate: Buffer, version: string): object {
  const rawBytes = certificate.toString('base64')
  return version.includes('v0.3')
    ? { certificate: { rawBytes } }
    : { x509CertificateChain: { certificates: [{ rawBytes }] } }
}

export function tlogEntry(
  log: TestLog,
  body: object,
  { time, proved }: { time: Date; proved: 'promise' | 'proof' | 'both' },
): Record<string, unknown> {
  const entry = entryOf(log, body, time)
  const leaf = Buffer.from(entry.body, 'base64')
  const leaves = ['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.from(text)).toSpliced(3, 1, leaf)
  return {
    logIndex: String(entry.logIndex),
    logId: { keyId: log.id.toString('base64') },
    kindVersion: { kind: 'dsse', version: '0.0.1' },
    integratedTime: String(entry.integratedTime),
    ...(proved !== 'proof' && { inclusionPromise: { signedEntryTimestamp: promise(log, entry).toString('base64') } }),
    ...(proved !== 'promise' && { inclusionProof: inclusionProof(log, leaves, 3) }),
    canonicalizedBody: entry.body,
  }
}

export function asBundle(bundle: unknown): SigstoreSignature {
  return { kind: 'bundle', bytes: Buffer.isBuffer(bundle) ? bundle : Buffer.from(JSON.stringify(bundle)) }
}

/** A requirement of keys; cosign names only the repository. */
export function byKeys(
  keys: readonly KeyPair[],
  {
    log,
    identity = { type: 'matchRepository' },
  }: { log?: TestLog; identity?: SigstoreSignedRequirement['signedIdentity'] } = {},
): SigstoreSignedRequirement {
  return {
    type: 'sigstoreSigned',
    authority: { kind: 'keys', keys: keys.map((pair) => ({ data: publicPem(pair) })) },
    rekorKeys: log === undefined ? [] : [{ data: publicPem(log) }],
    signedIdentity: identity,
  }
}

/** An image that has these signatures, asked for by this name. */
export function judged(signatures: readonly SigstoreSignature[], name = `${repository}:1`): JudgedImage {
  return {
    transport: 'docker',
    scopes: [],
    reference: parseReference(name),
    documents: [{ digest, bytes: manifest }],
    signatures: async () => ({
      simple: [],
      sigstore: signatures.map((content, index) => ({ origin: `signature ${index + 1}`, content })),
    }),
  }
}

/** `accepted`, or the reasons against one signature, without its name. */
export async function verdict(
  requirement: SigstoreSignedRequirement,
  signature: SigstoreSignature,
  name = `${repository}:1`,
): Promise<string> {
  const result = await verifySigstore(requirement, judged([signature], name))
  return result.accepted ? 'accepted' : result.reasons.map((reason) => reason.replace(/^signature 1 /, '')).join('; ')
}
