import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseLocation } from '../../src/image/location.ts'
import { parsePolicy } from '../../src/trust/parse-policy.ts'
import { requirementsFor } from '../../src/trust/policy.ts'
import { policyPlaces, readPolicy } from '../../src/trust/read-policy.ts'
import { scopesOf } from '../../src/trust/scopes.ts'
import { scratch } from '../store/scratch.ts'

const reject = { type: 'reject' }
const accept = { type: 'insecureAcceptAnything' }

function parse(document: unknown) {
  const bytes = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document))
  return parsePolicy(bytes, { file: '/etc/containers/policy.json' })
}

/** A policy of one requirement for one image. */
function withRequirement(requirement: unknown) {
  return { default: [reject], transports: { docker: { 'quay.io/a': [requirement] } } }
}

const gpg = { type: 'signedBy', keyType: 'GPGKeys' }
const place = 'transports.docker["quay.io/a"][0]'
const fulcio = { caPath: '/f', oidcIssuer: 'i', subjectEmail: 'e' }
const pki = { caRootsPath: '/r', subjectHostname: 'h' }

const mistakes: [string, unknown, string][] = [
  ['no JSON', '{"default": [', 'not JSON'],
  ['no UTF-8', 'caf\u00e9'.padEnd(9), 'not JSON'],
  ['something after it', '{"default":[{"type":"reject"}]}}', 'not JSON'],
  ['no object', [reject], 'default is missing'],
  ['nothing', {}, 'default is missing'],
  ['no requirement', { default: [] }, 'default: empty'],
  ['an unknown member', { default: [reject], defaults: [] }, 'defaults is not known'],
  ['an unknown member of a requirement', { default: [{ ...reject, x: 1 }] }, 'default[0].x is not known'],
  ['a member that every object has', '{"default":[{"type":"reject"}],"constructor":1}', "'constructor'"],
  ['a member twice', '{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}', "'default' is there twice"],
  [
    'a member twice, spelled otherwise',
    '{"default":[{"type":"reject","t\\u0079pe":"reject"}]}',
    "'type' is there twice",
  ],
  ['an unknown requirement', { default: [{ type: 'signedByAll' }] }, 'default[0].type is "signedByAll"'],
  ['a base layer of nobody', { default: [{ type: 'signedBaseLayer' }] }, 'default[0].baseLayerIdentity is missing'],
  [
    'a certificate that is nowhere',
    withRequirement({ ...gpg, keyType: 'X509Certificates' }),
    `${place}: wants exactly one of keyPath`,
  ],
  ['a requirement that is a word', { default: ['reject'] }, 'default[0] is "reject"'],
  ['transports in a list', { default: [reject], transports: [] }, 'transports'],
  ['scopes in a list', { default: [reject], transports: { docker: [[reject]] } }, 'transports.docker'],
  ['no key', withRequirement(gpg), `${place}: wants exactly one of keyPath`],
  ['two keys', withRequirement({ ...gpg, keyPath: '/a', keyData: 'YQ==' }), `${place}: wants exactly one of keyPath`],
  ['no keys in a list', withRequirement({ ...gpg, keyPaths: [] }), `${place}.keyPaths: empty`],
  ['a key without a folder', withRequirement({ ...gpg, keyPath: 'a' }), `${place}.keyPath: not an absolute path`],
  ['a key that is null', withRequirement({ ...gpg, keyPath: null }), `${place}.keyPath is null`],
  ['data that is no base64', withRequirement({ ...gpg, keyData: '&' }), `${place}.keyData: not base64`],
  [
    'another kind of key',
    withRequirement({ ...gpg, keyType: 'X509CAs', keyPath: '/a' }),
    `${place}.keyType is "X509CAs"`,
  ],
  ['no kind of key', withRequirement({ type: 'signedBy', keyPath: '/a' }), `${place}.keyType is missing`],
  [
    'an unknown identity',
    withRequirement({ ...gpg, keyPath: '/a', signedIdentity: { type: 'any' } }),
    `${place}.signedIdentity.type is "any"`,
  ],
  [
    'a reference without a tag',
    withRequirement({
      ...gpg,
      keyPath: '/a',
      signedIdentity: { type: 'exactReference', dockerReference: 'quay.io/a' },
    }),
    `${place}.signedIdentity.dockerReference: not an image with a tag`,
  ],
  [
    'a prefix with a tag',
    withRequirement({
      ...{ ...gpg, keyPath: '/a' },
      signedIdentity: { type: 'remapIdentity', prefix: 'quay.io/a:1', signedPrefix: 'quay.io' },
    }),
    `${place}.signedIdentity.prefix: not a registry`,
  ],
  [
    'no authority',
    withRequirement({ type: 'sigstoreSigned' }),
    `${place}: wants exactly one of keyPath, keyPaths, keyData`,
  ],
  ['Fulcio without Rekor', withRequirement({ type: 'sigstoreSigned', fulcio }), `${place}: wants a rekorPublicKey`],
  [
    'Fulcio for nobody',
    withRequirement({
      type: 'sigstoreSigned',
      fulcio: { ...fulcio, subjectEmail: undefined },
      rekorPublicKeyPath: '/k',
    }),
    `${place}.fulcio: wants subjectEmail`,
  ],
  [
    'two keys of Rekor',
    withRequirement({ type: 'sigstoreSigned', fulcio, rekorPublicKeyPath: '/k', rekorPublicKeyData: 'YQ==' }),
    `${place}: wants at most one rekorPublicKey`,
  ],
  [
    'Rekor with other authorities',
    withRequirement({ type: 'sigstoreSigned', pki, rekorPublicKeyPath: '/k' }),
    `${place}: wants no rekorPublicKey`,
  ],
  [
    'a folder that is not absolute',
    { default: [reject], transports: { oci: { 'srv/a': [reject] } } },
    "'srv/a' is not an",
  ],
  ['the root as a folder', { default: [reject], transports: { dir: { '/': [reject] } } }, "'/' must be written ''"],
  ['a path with dots', { default: [reject], transports: { dir: { '/a/../b': [reject] } } }, "must be written '/b'"],
  ['a scope of archives', { default: [reject], transports: { 'docker-archive': { '/a': [reject] } } }, "is not ''"],
  [
    'an id as a scope',
    { default: [reject], transports: { 'docker-daemon': { [`sha256:${'a'.repeat(64)}`]: [reject] } } },
    'an image id',
  ],
]

for (const [title, document, fault] of mistakes) {
  test(`a policy with ${title} accepts nothing, and says where`, () => {
    assert.throws(
      () => parse(document),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'policy')
        assert.ok(error.message.startsWith('/etc/containers/policy.json cannot be understood'), error.message)
        assert.ok(error.message.includes(fault), error.message)
        return true
      },
    )
  })
}

test('keys and authorities in every spelling', () => {
  const data = Buffer.from('key')
  const base64 = data.toString('base64')
  const signedIdentity = { type: 'matchRepoDigestOrExact' }
  const signed = (...keys: unknown[]) => ({ type: 'signedBy', keys, signedIdentity })
  const sigstore = (authority: unknown, rekorKeys: unknown[] = []) => {
    return { type: 'sigstoreSigned', authority, rekorKeys, signedIdentity }
  }
  const table: [object, unknown][] = [
    [{ ...gpg, keyPath: '/a' }, signed({ path: '/a' })],
    [{ ...gpg, keyPaths: ['/a', '/b'] }, signed({ path: '/a' }, { path: '/b' })],
    [{ ...gpg, keyData: `${base64.slice(0, 2)}\n${base64.slice(2)}` }, signed({ data })],
    [{ type: 'sigstoreSigned', keyPath: '/a' }, sigstore({ kind: 'keys', keys: [{ path: '/a' }] })],
    [{ type: 'sigstoreSigned', keyDatas: [base64] }, sigstore({ kind: 'keys', keys: [{ data }] })],
    [
      { type: 'sigstoreSigned', fulcio: { ...fulcio, buildSignerURI: 'u' }, rekorPublicKeyDatas: [base64] },
      sigstore({ kind: 'fulcio', ca: { path: '/f' }, oidcIssuer: 'i', subjectEmail: 'e', buildSignerUri: 'u' }, [
        { data },
      ]),
    ],
    [
      { type: 'sigstoreSigned', pki: { ...pki, caIntermediatesData: base64 } },
      sigstore({
        ...{ kind: 'pki', roots: { path: '/r' }, intermediates: { data } },
        ...{ subjectEmail: undefined, subjectHostname: 'h' },
      }),
    ],
  ]
  for (const [written, read] of table) {
    assert.deepEqual(parse(withRequirement(written)).transports.get('docker')?.get('quay.io/a'), [read])
  }
})

test('the most specific scope alone counts, then the default of the transport, then the default', () => {
  const scopes = [
    ...['registry.example.com:5000/team/app:1', 'registry.example.com:5000/team/app', 'registry.example.com:5000/team'],
    ...['registry.example.com:5000', '*.example.com', '*.com', ''],
  ]
  const image = parseLocation('registry.example.com:5000/team/app:1')
  for (const [index, scope] of scopes.entries()) {
    const entries = scopes.slice(index).map((name) => [name, [name === scope ? accept : reject]])
    const policy = parse({ default: [reject], transports: { docker: Object.fromEntries(entries) } })
    const { place: found, requirements } = requirementsFor(policy, { transport: 'docker', scopes: scopesOf(image) })
    assert.deepEqual(requirements, [accept])
    assert.equal(found, `docker: ${scope || 'default'}`)
  }
  const others = {
    docker: { 'registry.example.com': [accept], 'registry.example.com:5000/tea': [accept] },
    oci: { '': [accept] },
  }
  const policy = parse({ default: [reject], transports: others })
  assert.equal(requirementsFor(policy, { transport: 'docker', scopes: scopesOf(image) }).place, 'default')
  assert.equal(requirementsFor(policy, { transport: 'oci', scopes: ['/srv'] }).place, 'oci: default')
})

test('transports that forerun lacks are let be', () => {
  const policy = parse({
    default: [reject],
    transports: { atomic: { 'a:5000/b': [accept] }, tarball: { '': [accept] } },
  })
  assert.equal(policy.transports.size, 2)
})

test('the first file that is there counts, and none accepts everything', () => {
  using folder = scratch()
  const files = ['user', 'etc', 'usr'].map((name) => join(folder.path, name, 'policy.json'))
  const places = { files, isNamed: false }
  assert.deepEqual(readPolicy(places), { file: undefined, default: [accept], transports: new Map() })
  for (const file of files.toReversed()) {
    mkdirSync(join(file, '..'))
    writeFileSync(file, JSON.stringify({ default: [reject] }))
    assert.equal(readPolicy(places).file, file)
  }
})

test('a file that cannot be read, or that was asked for and is not there, accepts nothing', () => {
  using folder = scratch()
  const file = join(folder.path, 'policy.json')
  assert.throws(() => readPolicy({ files: [file], isNamed: true }), { code: 'policy', message: /is not there/ })
  mkdirSync(file)
  assert.throws(() => readPolicy({ files: [file], isNamed: false }), { code: 'policy', message: /cannot be read/ })
})

test('the places are those of the containers tools', () => {
  const system = ['/etc/containers/policy.json', '/usr/share/containers/policy.json']
  assert.deepEqual(policyPlaces({ HOME: '/root' }), {
    files: ['/root/.config/containers/policy.json', ...system],
    isNamed: false,
  })
  assert.equal(policyPlaces({ HOME: '/root', XDG_CONFIG_HOME: '/c' }).files[0], '/c/containers/policy.json')
  assert.deepEqual(policyPlaces({ CONTAINERS_POLICY_JSON: '/p' }), { files: ['/p'], isNamed: true })
})
