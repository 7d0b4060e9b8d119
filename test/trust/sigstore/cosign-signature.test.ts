import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { verifySigstore } from '../../../src/trust/sigstore/verify-sigstore.ts'
import { ecKeys, type KeyPair, publicPem } from './authority.ts'
import { promise, testLog } from './log.ts'
import {
  byKeys,
  type Cosigned,
  cosigned,
  cosignPayload,
  digest,
  judged,
  manifest,
  repository,
  verdict,
} from './signing.ts'

const keys = ecKeys()
const log = testLog()

test('a signature counts by each kind of key that cosign uses', async () => {
  const kinds: [KeyPair, (string | null)[]][] = [
    [keys, ['sha256']],
    [ecKeys('P-384'), ['sha256', 'sha384']],
    [ecKeys('P-521'), ['sha256', 'sha512']],
    [generateKeyPairSync('rsa', { modulusLength: 2048 }), ['sha256']],
    [generateKeyPairSync('ed25519'), [null]],
  ]
  for (const [pair, hashes] of kinds) {
    for (const hash of hashes) {
      const signature = cosigned(cosignPayload(), pair.privateKey, { hash })
      assert.equal(await verdict(byKeys([ecKeys(), pair]), signature), 'accepted')
      assert.match(await verdict(byKeys([ecKeys()]), signature), /^is by another key/)
    }
  }
})

test('a signature for another image does not count', async () => {
  const other = digestOf(Buffer.from('another manifest'))
  const reason = await verdict(byKeys([keys]), cosigned(cosignPayload(repository, other), keys.privateKey))
  assert.equal(reason, `is for another image, ${other}`)
})

test('a signature of an index that led to the manifest counts, also by sha512', async () => {
  const index = Buffer.from('{"manifests":[]}')
  const image = judged([cosigned(cosignPayload(repository, digestOf(index, 'sha512:')), keys.privateKey)])
  const documents = [...image.documents, { digest: digestOf(index), bytes: index }]
  assert.deepEqual(await verifySigstore(byKeys([keys]), { ...image, documents }), { accepted: true })
})

test('the name is held against signedIdentity, as containers/image does', async () => {
  const names: [
    signed: string,
    asked: string,
    type: 'matchExact' | 'matchRepoDigestOrExact' | 'matchRepository',
    RegExp,
  ][] = [
    [repository, `${repository}:1`, 'matchRepository', /^accepted$/],
    [repository, `${repository}:1`, 'matchRepoDigestOrExact', /^is for registry\.example\/team\/app without a tag/],
    [`${repository}:1`, `${repository}:1`, 'matchRepoDigestOrExact', /^accepted$/],
    [`${repository}:1`, `${repository}:1`, 'matchExact', /^accepted$/],
    // A replayed signature of another tag, of another repository.
    [`${repository}:1`, `${repository}:2`, 'matchExact', /^is for registry\.example\/team\/app:1, and/],
    [`${repository}:1`, `${repository}:2`, 'matchRepoDigestOrExact', /^is for registry\.example\/team\/app:1, and/],
    [`${repository}:1`, `${repository}@${digest}`, 'matchRepoDigestOrExact', /^accepted$/],
    [
      'registry.example/team/tool',
      `${repository}:1`,
      'matchRepository',
      /^is for registry\.example\/team\/tool without/,
    ],
    ['not a name\n', `${repository}:1`, 'matchRepository', /^is for not a name\?/],
    ['', `${repository}:1`, 'matchRepository', /^is for /],
  ]
  for (const [signed, asked, type, expected] of names) {
    const signature = cosigned(cosignPayload(signed), keys.privateKey)
    assert.match(await verdict(byKeys([keys], { identity: { type } }), signature, asked), expected)
  }
})

test('with a key of a log, the log must have an entry of this very signature', async () => {
  const wanted = byKeys([ecKeys(), keys], { log })
  const payload = cosignPayload()
  const good = cosigned(payload, keys.privateKey, { log, verifier: publicPem(keys) })
  assert.equal(await verdict(wanted, good), 'accepted')
  assert.match(await verdict(wanted, cosigned(payload, keys.privateKey)), /^has no entry of a transparency log/)
  const foreign = cosigned(payload, keys.privateKey, { log: testLog(), verifier: publicPem(keys) })
  assert.match(await verdict(wanted, foreign), /not signed by the policy's key/)
  // An entry of the same message, signed another time.
  const again = cosigned(payload, keys.privateKey, { log, verifier: publicPem(keys) })
  assert.match(await verdict(wanted, borrowing(good, again)), /for another signature$/)
  const otherKey = cosigned(payload, keys.privateKey, { log, verifier: publicPem(ecKeys()) })
  assert.match(await verdict(wanted, otherKey), /for another signature$/)
})

/** A signature with the log's entry of another one. */
function borrowing(signature: Cosigned, other: Cosigned): Cosigned {
  const entry = other.annotations['dev.sigstore.cosign/bundle'] ?? ''
  return { ...signature, annotations: { ...signature.annotations, 'dev.sigstore.cosign/bundle': entry } }
}

test('an entry that was changed after the log signed it does not count', async () => {
  const good = cosigned(cosignPayload(), keys.privateKey, { log, verifier: publicPem(keys) })
  const parsed = JSON.parse(good.annotations['dev.sigstore.cosign/bundle'] ?? '')
  const changes: ((entry: typeof parsed) => void)[] = [
    (entry) => (entry.Payload.integratedTime += 1),
    (entry) => (entry.Payload.logIndex += 1),
    (entry) => (entry.Payload.logID = '00'),
    (entry) => (entry.Payload.body = Buffer.from(`${Buffer.from(entry.Payload.body, 'base64')} `).toString('base64')),
    (entry) => (entry.SignedEntryTimestamp = 'AAAA'),
    (entry) => (entry.SignedEntryTimestamp = ''),
    (entry) => (entry.SignedEntryTimestamp = '!'),
    (entry) => (entry.Payload.integratedTime = -1),
    (entry) => (entry.Payload.integratedTime = 1.5),
    (entry) => (entry.Payload.more = 1),
    (entry) => delete entry.Payload.body,
  ]
  for (const change of changes) {
    const entry = structuredClone(parsed)
    change(entry)
    const annotations = { ...good.annotations, 'dev.sigstore.cosign/bundle': JSON.stringify(entry) }
    const reason = await verdict(byKeys([keys], { log }), { ...good, annotations })
    assert.match(reason, /not signed by the policy's key|malformed annotation/, change.toString())
  }
})

test('an entry of a kind that is not known, or that is no entry, does not count though the log signed it', async () => {
  const bodies = [
    null,
    1,
    [],
    {},
    { kind: 'hashedrekord' },
    { kind: 'rpm', apiVersion: '0.0.1', spec: {} },
    { kind: 'hashedrekord', apiVersion: '0.0.2', spec: {} },
  ]
  for (const body of [...bodies.map((value) => JSON.stringify(value)), '{', '']) {
    const good = cosigned(cosignPayload(), keys.privateKey)
    const Payload = { body: Buffer.from(body).toString('base64'), integratedTime: 1, logIndex: 1, logID: 'ab' }
    const SignedEntryTimestamp = promise(log, Payload).toString('base64')
    const annotations = {
      ...good.annotations,
      'dev.sigstore.cosign/bundle': JSON.stringify({ SignedEntryTimestamp, Payload }),
    }
    assert.match(
      await verdict(byKeys([keys], { log }), { ...good, annotations }),
      /does not know$|cannot be read$/,
      body,
    )
  }
})

test('a signature counts whose base64 is broken into lines, as openssl writes it', async () => {
  const good = cosigned(cosignPayload(), keys.privateKey)
  const signature = good.annotations['dev.cosignproject.cosign/signature'] ?? ''
  const annotations = { 'dev.cosignproject.cosign/signature': signature.replace(/.{1,64}/g, '$&\r\n') }
  assert.equal(await verdict(byKeys([keys]), { ...good, annotations }), 'accepted')
})

test('what is no signature is told, and never thrown', async () => {
  const good = cosigned(cosignPayload(), keys.privateKey)
  const signature = good.annotations['dev.cosignproject.cosign/signature'] ?? ''
  const garbage = [
    undefined,
    '',
    'x',
    '*',
    `${signature} `,
    signature.slice(0, 20),
    `${signature.slice(0, -4)}AAA=`,
    'A'.repeat(1 << 22),
    '\0',
    'ä',
  ]
  for (const text of garbage) {
    const annotations: Record<string, string> = text === undefined ? {} : { 'dev.cosignproject.cosign/signature': text }
    assert.match(
      await verdict(byKeys([keys]), { ...good, annotations }),
      /^has no signature in base64|^is by another key/,
      text?.slice(0, 90),
    )
  }
  const truncated = { ...good, payload: good.payload.subarray(0, 40) }
  assert.match(await verdict(byKeys([keys]), truncated), /^is by another key/)
  const inherited = { ...good, annotations: Object.create(null) as Record<string, string> }
  assert.match(await verdict(byKeys([keys]), inherited), /^has no signature in base64/)
})

test('a payload that its signer wrote wrongly does not count', async () => {
  const good = JSON.parse(cosignPayload().toString())
  const payloads = [
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"critical":null,"optional":null}',
    JSON.stringify({ ...good, more: 1 }),
    JSON.stringify({ critical: good.critical }),
    JSON.stringify({ ...good, critical: { ...good.critical, type: 'atomic container signature' } }),
    JSON.stringify({ ...good, critical: { ...good.critical, image: { 'docker-manifest-digest': 'md5:x' } } }),
    JSON.stringify({ ...good, critical: { ...good.critical, more: 1 } }),
    cosignPayload().toString().replace('"type"', `"image":{"docker-manifest-digest":"${digest}"},"type"`),
    `[${'['.repeat(100_000)}`,
  ]
  for (const payload of payloads) {
    const signature = cosigned(Buffer.from(payload), keys.privateKey)
    assert.match(await verdict(byKeys([keys]), signature), /^holds /, payload.slice(0, 100))
  }
  const notUtf8 = cosigned(Buffer.from([0x7b, 0xff, 0x7d]), keys.privateKey)
  assert.match(await verdict(byKeys([keys]), notUtf8), /^holds .*not UTF-8/)
})

test('one good signature is enough, and without one each is told of', async () => {
  const bad = cosigned(cosignPayload('registry.example/x'), keys.privateKey)
  const good = cosigned(cosignPayload(repository, digest, { creator: 'x', timestamp: 1 }), keys.privateKey)
  assert.deepEqual(await verifySigstore(byKeys([keys]), judged([bad, good])), { accepted: true })
  const result = await verifySigstore(byKeys([keys]), judged([bad, { ...good, annotations: {} }]))
  assert.equal(result.accepted, false)
  const reasons = result.accepted ? [] : result.reasons
  assert.match(reasons[0] ?? '', /^signature 1 is for registry\.example\/x without a tag/)
  assert.match(reasons[1] ?? '', /^signature 2 has no signature/)
})

test('without signatures there are no reasons, but a hint where they were not looked for', async () => {
  assert.deepEqual(await verifySigstore(byKeys([keys]), judged([])), { accepted: false, reasons: [] })
  const signatures = async () => ({ simple: [], sigstore: [], sigstoreIgnored: 'Look for them.' })
  const index = { digest: digestOf(Buffer.from('x')), bytes: Buffer.from('x') }
  const documents = [{ digest, bytes: manifest }, index]
  const result = await verifySigstore(byKeys([keys]), { ...judged([]), documents, signatures })
  assert.deepEqual(result, { accepted: false, reasons: [], hint: 'Look for them.' })
})

test("a policy's key that cannot be used is an error, even beside a good one", async () => {
  const signature = cosigned(cosignPayload(), keys.privateKey)
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const secret = Buffer.from(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const curve = publicPem(ecKeys('secp256k1'))
  for (const data of [Buffer.from('x'), publicPem(weak), secret, curve, publicPem(generateKeyPairSync('x25519'))]) {
    const wanted = byKeys([keys])
    const authority = { kind: 'keys' as const, keys: [{ data: publicPem(keys) }, { data }] }
    const error = { name: 'ForerunError', code: 'policy', message: /^a key in policy\.json is no public key/ }
    await assert.rejects(verifySigstore({ ...wanted, authority }, judged([signature])), error)
  }
  const missing = { kind: 'keys' as const, keys: [{ path: '/nowhere/key.pub' }] }
  await assert.rejects(verifySigstore({ ...byKeys([]), authority: missing }, judged([signature])), {
    code: 'policy',
    message: /\/nowhere\/key\.pub/,
  })
  const logKey = { ...byKeys([keys]), rekorKeys: [{ data: publicPem(generateKeyPairSync('ed25519')) }] }
  await assert.rejects(verifySigstore(logKey, judged([signature])), { code: 'policy', message: /no ECDSA key/ })
})
