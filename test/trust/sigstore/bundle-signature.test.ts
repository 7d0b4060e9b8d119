import assert from 'node:assert/strict'
import { createHash, sign } from 'node:crypto'
import { test } from 'node:test'
import { dsse } from '@sigstore/core'
import { digestOf } from '../../../src/image/digest.ts'
import type { SignedIdentity } from '../../../src/trust/policy.ts'
import { verifySigstore } from '../../../src/trust/sigstore/verify-sigstore.ts'
import { ecKeys, publicPem } from './authority.ts'
import { envelopeRecord, hashedRecord, testLog } from './log.ts'
import {
  asBundle,
  bundled,
  byKeys,
  digest,
  judged,
  manifest,
  repository,
  signStatement,
  tlogEntry,
  verdict,
} from './signing.ts'

const keys = ecKeys()
const log = testLog()
const verifier = publicPem(keys)

test('a bundle of cosign counts by its key', async () => {
  assert.equal(await verdict(byKeys([ecKeys(), keys]), asBundle(bundled(signStatement(), keys.privateKey))), 'accepted')
  const stranger = bundled(signStatement(), ecKeys().privateKey)
  assert.match(await verdict(byKeys([keys]), asBundle(stranger)), /^is by another key/)
})

test('a bundle for another image does not count', async () => {
  const other = digestOf(Buffer.from('x'))
  const bundle = bundled(signStatement({ claimed: other }), keys.privateKey)
  assert.equal(await verdict(byKeys([keys]), asBundle(bundle)), `is for another image, ${other}`)
  const unknown = bundled(signStatement({ claimed: 'md5:00' }), keys.privateKey)
  assert.equal(await verdict(byKeys([keys]), asBundle(unknown)), 'names no image')
})

test('a bundle that names no image counts only where the repository is all that the policy asks for', async () => {
  const bundle = asBundle(bundled(signStatement(), keys.privateKey))
  const cases: [SignedIdentity, RegExp][] = [
    [{ type: 'matchRepository' }, /^accepted$/],
    [{ type: 'exactRepository', dockerRepository: repository }, /^accepted$/],
    [
      { type: 'exactRepository', dockerRepository: `${repository}-x` },
      /^names no image: .* signedIdentity exactRepository$/,
    ],
    [{ type: 'matchExact' }, /^names no image: .* wants signedIdentity matchExact$/],
    [{ type: 'matchRepoDigestOrExact' }, /^names no image/],
    [{ type: 'exactReference', dockerReference: `${repository}:1` }, /^names no image/],
    [{ type: 'remapIdentity', prefix: 'registry.example', signedPrefix: 'registry.example' }, /^names no image/],
  ]
  for (const [identity, expected] of cases) {
    assert.match(await verdict(byKeys([keys], { identity }), bundle), expected)
    assert.match(await verdict(byKeys([keys], { identity }), bundle, `${repository}@${digest}`), expected)
  }
})

test('the name that a signer annotated is held against the policy', async () => {
  const named = (name: unknown) =>
    asBundle(bundled(signStatement({ annotations: { 'docker-reference': name } }), keys.privateKey))
  assert.equal(
    await verdict(byKeys([keys], { identity: { type: 'matchExact' } }), named(`${repository}:1`)),
    'accepted',
  )
  assert.match(await verdict(byKeys([keys]), named('registry.example/x:1')), /^is for registry\.example\/x:1, and/)
  assert.match(await verdict(byKeys([keys]), named(1)), /breaks its format: docker-reference$/)
})

test('an attestation is no signature', async () => {
  const predicateType = 'https://slsa.dev/provenance/v1'
  const bundle = bundled(signStatement({ predicateType }), keys.privateKey)
  assert.equal(
    await verdict(byKeys([keys]), asBundle(bundle)),
    `is an attestation (${predicateType}) and no signature of the image`,
  )
})

test('an entry counts by its promise, by its proof, or by both', async () => {
  for (const proved of ['promise', 'proof', 'both'] as const) {
    const bundle = bundled(signStatement(), keys.privateKey, { log, verifier, proved })
    assert.equal(await verdict(byKeys([keys], { log }), asBundle(bundle)), 'accepted')
    const foreign = bundled(signStatement(), keys.privateKey, { log: testLog(), verifier, proved })
    assert.match(await verdict(byKeys([keys], { log }), asBundle(foreign)), /not signed by the policy's key/)
    const other = bundled(signStatement(), keys.privateKey, { log, verifier: publicPem(ecKeys()), proved })
    assert.match(await verdict(byKeys([keys], { log }), asBundle(other)), /for another signature$/)
  }
  const none = bundled(signStatement(), keys.privateKey)
  assert.match(await verdict(byKeys([keys], { log }), asBundle(none)), /^has no entry of a transparency log/)
})

test('an entry of another signature of the same statement, or of another statement, does not count', async () => {
  const payload = signStatement()
  const bundle = bundled(payload, keys.privateKey, { log, verifier })
  const { dsseEnvelope } = bundle as unknown as Changed
  const own = Buffer.from((dsseEnvelope.signatures[0] as { sig: string }).sig, 'base64')
  const other = sign('sha256', dsse.preAuthEncoding(dsseEnvelope.payloadType, payload), keys.privateKey)
  const records: [object, RegExp][] = [
    [envelopeRecord({ signature: own, verifier, payload }), /^accepted$/],
    [envelopeRecord({ signature: other, verifier, payload }), /for another signature$/],
    [envelopeRecord({ signature: own, verifier, payload: Buffer.from('x') }), /for another signature$/],
    [hashedRecord({ signature: own, verifier, message: payload }), /for another signature$/],
  ]
  for (const [body, expected] of records) {
    const tlogEntries = [tlogEntry(log, body, { time: new Date(), proved: 'promise' })]
    const changedBundle = { ...bundle, verificationMaterial: { publicKey: {}, tlogEntries } }
    assert.match(await verdict(byKeys([keys], { log }), asBundle(changedBundle)), expected)
  }
})

interface Changed {
  verificationMaterial: {
    tlogEntries: Record<string, Record<string, unknown>>[]
    publicKey?: object
    certificate?: object
  }
  dsseEnvelope: { payload: string; payloadType: string; signatures: object[] }
  [member: string]: unknown
}

function changed(
  change: (bundle: Changed, entry: Record<string, Record<string, unknown>>) => void,
  proved: 'proof' | 'both' = 'proof',
) {
  const bundle = bundled(signStatement(), keys.privateKey, { log, verifier, proved }) as unknown as Changed
  change(bundle, bundle.verificationMaterial.tlogEntries[0] ?? {})
  return asBundle(bundle)
}

test('a proof that does not hold does not count, not even beside a promise', async () => {
  const changes: ((entry: Record<string, Record<string, unknown>>) => void)[] = [
    ({ inclusionProof = {} }) => (inclusionProof.logIndex = '2'),
    ({ inclusionProof = {} }) => (inclusionProof.logIndex = '99'),
    ({ inclusionProof = {} }) => (inclusionProof.treeSize = '6'),
    ({ inclusionProof = {} }) => (inclusionProof.treeSize = '0'),
    ({ inclusionProof = {} }) => (inclusionProof.hashes = []),
    ({ inclusionProof = {} }) => (inclusionProof.hashes = (inclusionProof.hashes as string[]).toReversed()),
    ({ inclusionProof = {} }) => (inclusionProof.hashes = [...(inclusionProof.hashes as string[]), 'AAAA']),
    ({ inclusionProof = {} }) => (inclusionProof.hashes = Array.from({ length: 1000 }, () => 'AAAA')),
    ({ inclusionProof = {} }) => (inclusionProof.checkpoint = { envelope: '' }),
    ({ inclusionProof = {} }) => (inclusionProof.checkpoint = { envelope: '\n\n\n' }),
    ({ inclusionProof = {} }) => {
      const { envelope } = inclusionProof.checkpoint as { envelope: string }
      inclusionProof.checkpoint = { envelope: envelope.replace('\n5\n', '\n6\n') }
    },
  ]
  for (const change of changes) {
    for (const proved of ['proof', 'both'] as const) {
      const reason = await verdict(
        byKeys([keys], { log }),
        changed((_, entry) => change(entry), proved),
      )
      assert.match(reason, /not in the transparency log$|not signed by the policy's key|malformed/, change.toString())
    }
  }
  const unfounded = changed((_, { inclusionProof = {} }) => delete inclusionProof.checkpoint)
  assert.match(await verdict(byKeys([keys], { log }), unfounded), /without a proof of it$/)
  const beside = changed((_, { inclusionProof = {} }) => delete inclusionProof.checkpoint, 'both')
  assert.equal(await verdict(byKeys([keys], { log }), beside), 'accepted')
  const rooted = changed((_, { inclusionProof = {} }) => {
    delete inclusionProof.checkpoint
    inclusionProof.rootHash = Buffer.alloc(32).toString('base64')
  }, 'both')
  assert.match(await verdict(byKeys([keys], { log }), rooted), /not in the transparency log$/)
})

test("a checkpoint's signature that is said to be by another key does not count", async () => {
  const misnamed = changed((_, { inclusionProof = {} }) => {
    const { envelope } = inclusionProof.checkpoint as { envelope: string }
    const [text = '', signature = ''] = envelope.split(/(?<= log\.example )/)
    const bytes = Buffer.from(signature, 'base64')
    inclusionProof.checkpoint = { envelope: `${text}${bytes.fill(0, 0, 4).toString('base64')}\n` }
  })
  assert.match(await verdict(byKeys([keys], { log }), misnamed), /checkpoint .* not signed by the policy's key/)
})

test('what is no bundle is told, and never thrown', async () => {
  const texts = [
    '',
    '{',
    'null',
    '[]',
    '1',
    '{}',
    '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}',
    '['.repeat(1 << 20),
    '{"a":1,"a":1}',
  ]
  for (const text of texts) {
    assert.match(
      await verdict(byKeys([keys]), asBundle(Buffer.from(text))),
      /^is a malformed bundle/,
      text.slice(0, 80),
    )
  }
  assert.match(await verdict(byKeys([keys]), asBundle(Buffer.from([0xff]))), /^is a malformed bundle: not UTF-8$/)
  const changes: ((bundle: Changed) => void)[] = [
    (bundle) => (bundle.mediaType = 'application/vnd.dev.sigstore.bundle.v9.0+json'),
    (bundle) => delete bundle.mediaType,
    (bundle) => (bundle.messageSignature = { signature: 'AAAA' }),
    (bundle) => (bundle.verificationMaterial.certificate = { rawBytes: 'AAAA' }),
    (bundle) => delete bundle.verificationMaterial.publicKey,
    (bundle) => bundle.dsseEnvelope.signatures.push({ sig: 'AAAA' }),
    (bundle) => (bundle.dsseEnvelope.signatures = []),
    (bundle) => (bundle.dsseEnvelope.payload += '*'),
    (bundle) => (bundle.verificationMaterial.tlogEntries = Array.from({ length: 17 }, () => ({}))),
    (bundle) => (bundle.verificationMaterial.tlogEntries = [{ integratedTime: 'x' as never }]),
  ]
  for (const change of changes) {
    assert.match(await verdict(byKeys([keys]), changed(change)), /^is a malformed bundle: /, change.toString())
  }
})

test('an envelope or statement of another kind does not count', async () => {
  const typed = bundled(signStatement(), keys.privateKey, { payloadType: 'text/plain' })
  assert.equal(await verdict(byKeys([keys]), asBundle(typed)), 'holds something that is no statement of an image')
  const retyped = changed((bundle) => (bundle.dsseEnvelope.payloadType = 'application/vnd.in-toto+json '))
  assert.match(await verdict(byKeys([keys]), retyped), /no statement/)
  const swapped = changed(
    (bundle) =>
      (bundle.dsseEnvelope.payload = signStatement({ claimed: digestOf(Buffer.from('x')) }).toString('base64')),
  )
  assert.match(await verdict(byKeys([keys]), swapped), /^is by another key/)
  const payloads = [
    '',
    '{}',
    '[]',
    'null',
    '{"_type":"x"}',
    signStatement().toString().replace('Statement/v1', 'Statement/v9'),
    `{"_type":"a",${signStatement().toString().slice(1)}`,
  ]
  for (const payload of payloads.filter((text) => text !== '')) {
    const bundle = bundled(Buffer.from(payload), keys.privateKey)
    assert.match(await verdict(byKeys([keys]), asBundle(bundle)), /^holds a statement that breaks its format/, payload)
  }
})

function messageBundle(
  message: Buffer,
  { algorithm = 'SHA2_256', claimed = message, signer = keys, logged = false } = {},
) {
  const signature = sign('sha256', message, signer.privateKey)
  const hash = createHash(algorithm === 'SHA2_256' ? 'sha256' : 'sha512')
    .update(claimed)
    .digest('base64')
  const body = hashedRecord({ signature, verifier, message })
  return asBundle({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      publicKey: { hint: 'x' },
      ...(logged && { tlogEntries: [tlogEntry(log, body, { time: new Date(), proved: 'promise' })] }),
    },
    messageSignature: { messageDigest: { algorithm, digest: hash }, signature: signature.toString('base64') },
  })
}

test("a signature over the manifest's own bytes counts", async () => {
  assert.equal(await verdict(byKeys([keys]), messageBundle(manifest)), 'accepted')
  assert.equal(await verdict(byKeys([keys]), messageBundle(manifest, { algorithm: 'SHA2_512' })), 'accepted')
  assert.equal(await verdict(byKeys([keys], { log }), messageBundle(manifest, { logged: true })), 'accepted')
  assert.match(await verdict(byKeys([keys], { log }), messageBundle(manifest)), /^has no entry/)
  assert.match(await verdict(byKeys([keys]), messageBundle(Buffer.from('x'))), /^is for another image/)
  // The digest is the image's, the signature is not.
  assert.match(
    await verdict(byKeys([keys]), messageBundle(Buffer.from('x'), { claimed: manifest })),
    /^is by another key/,
  )
  assert.match(await verdict(byKeys([keys]), messageBundle(manifest, { signer: ecKeys() })), /^is by another key/)
  const index = Buffer.from('{"manifests":[]}')
  const image = judged([messageBundle(index)])
  const documents = [...image.documents, { digest: digestOf(index), bytes: index }]
  assert.deepEqual(await verifySigstore(byKeys([keys]), { ...image, documents }), { accepted: true })
})
