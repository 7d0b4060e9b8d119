import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { type Digest, digestOf } from '../../src/image/digest.ts'
import { parseLocation } from '../../src/image/location.ts'
import { parseReference } from '../../src/image/reference.ts'
import { judgeImage } from '../../src/trust/judge.ts'
import type { JudgedImage } from '../../src/trust/judgement.ts'
import { parsePolicy } from '../../src/trust/parse-policy.ts'
import { scopesOf } from '../../src/trust/scopes.ts'
import { type GpgHome, gpgHome } from './gpg-home.ts'

const name = 'registry.example/team/app:1'
const manifest = Buffer.from('{"schemaVersion":2}')
const digest = digestOf(manifest)
let gpg: GpgHome
let ann: string
let ben: string
let keyFile: string

before(async () => {
  gpg = await gpgHome()
  ann = await gpg.key('ann@example.com')
  ben = await gpg.key('ben@example.com')
  keyFile = join(gpg.path, 'ann.gpg')
  writeFileSync(keyFile, await gpg.publicKey([ann]))
})

after(() => gpg[Symbol.asyncDispose]())

function policyOf(...requirements: object[]) {
  const document = { default: [{ type: 'reject' }], transports: { docker: { 'registry.example/team': requirements } } }
  return parsePolicy(Buffer.from(JSON.stringify(document)), { file: '/etc/containers/policy.json' })
}

function byAnn(signedIdentity?: object) {
  return { type: 'signedBy', keyType: 'GPGKeys', keyPath: keyFile, ...(signedIdentity && { signedIdentity }) }
}

/** What skopeo signs. */
function statement(options: { digest?: string; reference?: string } = {}) {
  return {
    critical: {
      type: 'atomic container signature',
      image: { 'docker-manifest-digest': options.digest ?? digest },
      identity: { 'docker-reference': options.reference ?? name },
    },
    optional: { creator: 'test', timestamp: 1_600_000_000 },
  }
}

function image(signatures: readonly Buffer[], options: Partial<JudgedImage> = {}): JudgedImage {
  const simple = signatures.map((content, index) => ({ origin: `signature-${index + 1}`, content }))
  return {
    transport: 'docker',
    scopes: scopesOf(parseLocation(name)),
    reference: parseReference(name),
    documents: [{ digest, bytes: manifest }],
    signatures: async () => ({ simple, sigstore: [] }),
    ...options,
  }
}

function signed(document: object | string, by = [ann]): Promise<Buffer> {
  return gpg.sign(typeof document === 'string' ? document : JSON.stringify(document), { by })
}

async function refused(judged: JudgedImage, expected: RegExp, requirement: object = byAnn()): Promise<void> {
  await assert.rejects(judgeImage(policyOf(requirement), judged), (error) => {
    assert.ok(error instanceof ForerunError, String(error))
    assert.equal(error.code, 'policy')
    assert.match(error.message, expected)
    assert.ok(!error.message.includes('\n'))
    assert.ok(error.hint)
    return true
  })
}

test('an image that is signed by the key, for its name and digest, is accepted', async () => {
  await judgeImage(policyOf(byAnn()), image([await signed(statement())]))
})

test('one good signature among others is enough', async () => {
  const others = [await signed(statement(), [ben]), await signed('{}'), Buffer.from('x')]
  await judgeImage(policyOf(byAnn()), image([...others, await signed(statement())]))
})

test('the refusal names scope, requirement and what was found', async () => {
  const found = [await signed(statement({ digest: `sha256:${'0'.repeat(64)}`, reference: 'registry.example/other:1' }))]
  found.push(await signed(statement(), [ben]))
  const start = `registry.example/team/app:1 is not accepted: /etc/containers/policy.json \\(docker: registry.example/team\\) wants `
  const wanted = `a signature by the key ${keyFile}; `
  await refused(
    image(found),
    new RegExp(
      `^${start}${wanted}found 2: signature-1 is of another image \\(registry.example/other:1, sha256:000000000000…\\), ` +
        `signature-2 is by an unknown key ${ben.slice(-16)}$`,
    ),
  )
  await refused(image([]), new RegExp(`^${start}${wanted}found none$`))
  await refused(image(Array.from({ length: 9 }, () => Buffer.from('x'))), /found 9: .*signature-5 .*, and 4 more$/)
})

test('a signature of another digest, and one that was replayed from another tag', async () => {
  await refused(image([await signed(statement({ digest: `sha256:${'0'.repeat(64)}` }))]), /is of another image/)
  await refused(
    image([await signed(statement({ reference: 'registry.example/team/app:2' }))]),
    /for another name \(registry.example\/team\/app:2\)/,
  )
  const repository = byAnn({ type: 'matchRepository' })
  await judgeImage(policyOf(repository), image([await signed(statement({ reference: 'registry.example/team/app:2' }))]))
})

test('every kind of identity', async () => {
  const other = await signed(statement({ reference: 'vendor.example/app:1' }))
  const exact = byAnn({ type: 'exactReference', dockerReference: 'vendor.example/app:1' })
  const repository = byAnn({ type: 'exactRepository', dockerRepository: 'vendor.example/app' })
  const remap = byAnn({ type: 'remapIdentity', prefix: 'registry.example/team', signedPrefix: 'vendor.example' })
  for (const requirement of [exact, repository, remap]) {
    await judgeImage(policyOf(requirement), image([other]))
    await refused(image([await signed(statement())]), /for another name/, requirement)
  }
  for (const type of ['matchExact', 'matchRepoDigestOrExact', 'matchRepository']) {
    await judgeImage(policyOf(byAnn({ type })), image([await signed(statement())]))
    await refused(image([other]), /for another name/, byAnn({ type }))
    await refused(image([await signed(statement())], { reference: undefined }), /for another name/, byAnn({ type }))
  }
})

test('all requirements must hold', async () => {
  const byBen = { type: 'signedBy', keyType: 'GPGKeys', keyData: (await gpg.publicKey([ben])).toString('base64') }
  const policy = policyOf({ type: 'insecureAcceptAnything' }, byAnn(), byBen)
  const anns = await signed(statement())
  await assert.rejects(judgeImage(policy, image([anns])), { message: /by the key in policy.json; found 1/ })
  await judgeImage(policy, image([anns, await signed(statement(), [ben])]))
  await assert.rejects(judgeImage(policyOf(byAnn(), { type: 'reject' }), image([anns])), { message: /rejects it/ })
})

test('a signature of an index covers the manifest that it led to', async () => {
  const index = Buffer.from('{"manifests":[]}')
  const documents = [
    { digest, bytes: manifest },
    { digest: digestOf(index), bytes: index },
  ]
  const simple = [{ origin: 'signature-1', content: await signed(statement({ digest: digestOf(index) })) }]
  const signatures = async (asked: Digest) => ({ simple: asked === digestOf(index) ? simple : [], sigstore: [] })
  await judgeImage(policyOf(byAnn()), image([], { documents, signatures }))
  await refused(image([], { signatures: async () => ({ simple, sigstore: [] }) }), /of another image/)
})

test('an image that is known by its sha512 may be signed by its sha256', async () => {
  const documents = [{ digest: digestOf(manifest, 'sha512:'), bytes: manifest }]
  await judgeImage(policyOf(byAnn()), image([await signed(statement())], { documents }))
})

test('a requirement of Sigstore is judged by what the registry holds, and the hint says how it comes to be read', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keyData = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })).toString('base64')
  const requirement = { type: 'sigstoreSigned', keyData }
  await refused(
    image([await signed(statement())]),
    /wants a Sigstore signature by the key in policy.json; found none/,
    requirement,
  )
  const signatures = async () => ({ simple: [], sigstore: [], sigstoreIgnored: 'Set it up.' })
  await assert.rejects(judgeImage(policyOf(requirement), image([], { signatures })), { hint: 'Set it up.' })
})

test('a document that is not as it must be', async () => {
  const { critical, optional } = statement()
  const twice = JSON.stringify(statement()).replace('"image":', '"image":{},"image":')
  const documents: [object | string, RegExp][] = [
    ['no JSON', /not JSON/],
    [Buffer.from([0xff, 0xfe]).toString('latin1'), /breaks its format/],
    [`${JSON.stringify(statement())}{}`, /not JSON/],
    [twice, /'image' is there twice/],
    [[statement()], /breaks its format/],
    [{ critical }, /optional/],
    [{ optional }, /critical/],
    [{ critical, optional: [] }, /optional/],
    [{ critical, optional: null }, /optional/],
    [{ critical, optional: { timestamp: 1.5 } }, /optional.timestamp/],
    [{ critical, optional, more: {} }, /'more', which forerun does not understand/],
    [{ critical: { ...critical, scope: 1 }, optional }, /'critical.scope', which forerun does not understand/],
    [`{"critical":{"constructor":1},"optional":{}}`, /'constructor'/],
    [{ critical: { ...critical, type: 'cosign container image signature' }, optional }, /critical.type/],
    [{ critical: { ...critical, image: { ...critical.image, x: 1 } }, optional }, /critical.image.x/],
    [{ critical: { ...critical, image: {} }, optional }, /critical.image.docker-manifest-digest/],
    [statement({ digest: 'md5:00' }), /critical.image.docker-manifest-digest/],
    [{ critical: { ...critical, identity: { ...critical.identity, x: 1 } }, optional }, /critical.identity.x/],
  ]
  for (const [document, fault] of documents) await refused(image([await signed(document)]), fault)
  await judgeImage(policyOf(byAnn()), image([await signed({ critical, optional: { anything: [1] } })]))
})

test('what was signed cannot put line ends or escapes into the refusal', async () => {
  await refused(image([await signed(statement({ reference: 'x\n\u001b[31my' }))]), /for another name \(x\?\?\[31my\)/)
})

test('nothing is fetched where nothing is asked for, and nothing is accepted where it is rejected', async () => {
  const signatures = () => assert.fail('it was fetched')
  await judgeImage(policyOf({ type: 'insecureAcceptAnything' }), image([], { signatures }))
  await refused(image([], { signatures }), /\(docker: registry.example\/team\) rejects it/, { type: 'reject' })
  const elsewhere = image([], { signatures, scopes: ['other.example/app:1'] })
  await refused(elsewhere, /policy.json \(default\) rejects it/, byAnn())
})

test('a requirement that nobody can check refuses the images that it is for, and no others', async () => {
  const identity = { type: 'matchExact' }
  const requirements: [string, unknown][] = [
    ['signedBy with keyType signedByGPGKeys', { type: 'signedBy', keyType: 'signedByGPGKeys', keyPath: '/a' }],
    ['signedBy with keyType X509Certificates', { type: 'signedBy', keyType: 'X509Certificates', keyData: 'YQ==' }],
    ['signedBy with keyType signedByX509CAs', { type: 'signedBy', keyType: 'signedByX509CAs', keyPaths: ['/a'] }],
    ['signedBaseLayer', { type: 'signedBaseLayer', baseLayerIdentity: identity }],
  ]
  for (const [words, requirement] of requirements) {
    const transports = { docker: { 'registry.example/team': [requirement], '': [{ type: 'insecureAcceptAnything' }] } }
    const document = { default: [{ type: 'reject' }], transports }
    const policy = parsePolicy(Buffer.from(JSON.stringify(document)), { file: 'policy.json' })
    await assert.rejects(judgeImage(policy, image([await signed(statement())])), {
      code: 'policy',
      message: new RegExp(`policy.json \\(docker: registry.example/team\\) wants ${words}$`),
      hint: /GPGKeys/,
    })
    await judgeImage(policy, image([], { scopes: ['other.example/app:1'] }))
  }
})

test('a key that is not there, or is none', async () => {
  const missing = { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/nowhere/key.gpg' }
  await refused(
    image([await signed(statement())]),
    /\/nowhere\/key.gpg, which policy.json names, is not there/,
    missing,
  )
  const none = { type: 'signedBy', keyType: 'GPGKeys', keyData: Buffer.from('words').toString('base64') }
  await refused(image([]), /no public keys/, none)
})

test('what the storage says of a fault is not taken for a missing signature', async () => {
  const signatures = () => Promise.reject(new ForerunError('registry', 'the storage is down'))
  await assert.rejects(judgeImage(policyOf(byAnn()), image([], { signatures })), { code: 'registry' })
})
