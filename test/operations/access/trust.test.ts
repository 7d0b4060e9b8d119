import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { readSettings } from '../../../src/config/settings.ts'
import { hostPaths } from '../../../src/host/paths.ts'
import * as shown from '../../../src/operations/access/show-trust.ts'
import * as trust from '../../../src/operations/access/trust.ts'
import type { Context } from '../../../src/operations/context.ts'
import type { ContainersPlace } from '../../../src/source/registry/config/containers-folders.ts'
import { differences, snapshot } from '../../lab/snapshot.ts'
import { scratch, threads } from '../../store/scratch.ts'
import { type GpgHome, gpgHome } from '../../trust/gpg-home.ts'

const policy = { default: [{ type: 'reject' }], transports: { docker: { 'a.example': [{ type: 'reject' }] }, dir: {} } }
let gpg: GpgHome
let ann: string
let annsKey: string
let folder: ReturnType<typeof scratch>
let file: string
let registries: string
let context: Context
let host: ContainersPlace

before(async () => {
  gpg = await gpgHome()
  ann = await gpg.key('ann@example.com')
  annsKey = join(gpg.path, 'ann.gpg')
  writeFileSync(annsKey, await gpg.publicKey([ann], { armor: true }))
})

beforeEach(() => {
  folder = scratch()
  file = join(folder.path, '.config/containers/policy.json')
  registries = join(folder.path, '.config/containers/registries.d')
  mkdirSync(registries, { recursive: true })
  writeFileSync(file, JSON.stringify(policy))
  host = { environment: { HOME: folder.path } }
  context = {
    version: '0',
    settings: readSettings({ root: folder.path }),
    paths: {
      ...hostPaths({ store: join(folder.path, 'store'), containers: join(folder.path, 'containers') }),
      ...{ journal: join(folder.path, 'journal'), lock: join(folder.path, 'lock') },
    },
    emit: () => {},
    signal: new AbortController().signal,
    threads,
    candidates: async (location) => [location],
    source: () => Promise.reject(new Error('nothing is fetched')),
    target: () => Promise.reject(new Error('nothing is pushed')),
    manager: () => Promise.reject(new Error('no systemd is needed')),
  }
})

afterEach(() => folder[Symbol.dispose]())

after(async () => {
  await gpg[Symbol.asyncDispose]()
})

const addTrust: typeof trust.addTrust = (request, context) => trust.addTrust({ host, ...request }, context)
const deleteTrust: typeof trust.deleteTrust = (request, context) => trust.deleteTrust({ host, ...request }, context)
const setDefaultTrust: typeof trust.setDefaultTrust = (type, context) => trust.setDefaultTrust(type, context, host)
const showTrust: typeof shown.showTrust = (words) => shown.showTrust(words, host)
const rawTrust: typeof shown.rawTrust = () => shown.rawTrust(host)

function written(): typeof policy & { transports: Record<string, Record<string, unknown>> } {
  return JSON.parse(readFileSync(file, 'utf8'))
}

async function refused(change: Promise<unknown>, expected: { code: string; message: RegExp }): Promise<void> {
  const before = snapshot(folder.path, { except: ['/lock', '/journal'] })
  await assert.rejects(change, expected)
  assert.deepEqual(differences(before, snapshot(folder.path, { except: ['/lock', '/journal'] })), [])
}

test('a signature of a key is asked for, and where it is; all else stays as it was', async () => {
  chmodSync(file, 0o640)
  const lookaside = 'https://signatures.example.com/containers'
  const change = await addTrust({ scope: 'b.example:5000/team', type: 'signedBy', keys: [annsKey], lookaside }, context)
  const storage = join(registries, 'b.example-5000-team.yaml')
  assert.deepEqual(change, { written: [storage, file], transport: 'docker', scope: 'b.example:5000/team' })
  assert.deepEqual(written(), {
    ...policy,
    transports: {
      ...policy.transports,
      docker: {
        ...policy.transports.docker,
        'b.example:5000/team': [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: annsKey }],
      },
    },
  })
  assert.equal(statSync(file).mode & 0o7777, 0o640)
  assert.equal(readFileSync(storage, 'utf8'), `docker:\n  b.example:5000/team:\n    lookaside: ${lookaside}\n`)
})

test('with several keys each must have signed, and what was asked for before is replaced', async () => {
  await addTrust({ scope: 'a.example', type: 'signedBy', keys: [annsKey, annsKey], identity: 'matchExact' }, context)
  const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: annsKey, signedIdentity: { type: 'matchExact' } }
  assert.deepEqual(written().transports.docker['a.example'], [requirement, requirement])
})

test('a signature of Sigstore is asked for, and looked for in the registry', async () => {
  const key = join(folder.path, 'cosign.pub')
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(key, publicKey.export({ type: 'spki', format: 'pem' }))
  await addTrust({ scope: 'b.example', type: 'sigstoreSigned', keys: [key], identity: 'matchRepository' }, context)
  const { transports } = written()
  const signedIdentity = { type: 'matchRepository' }
  assert.deepEqual(Object.entries(transports.docker)[1], [
    ...['b.example', [{ type: 'sigstoreSigned', keyPath: key, signedIdentity }]],
  ])
  const storage = readFileSync(join(registries, 'b.example.yaml'), 'utf8')
  assert.equal(storage, 'docker:\n  b.example:\n    use-sigstore-attachments: true\n')
  await refused(addTrust({ scope: 'b.example', type: 'sigstoreSigned', keys: [annsKey] }, context), {
    code: 'usage',
    message: /is no public key/,
  })
})

test('a section that registries.d has is changed where it is, with its comments', async () => {
  const storage = join(registries, 'all.yaml')
  writeFileSync(storage, '# ours\ndocker:\n  a.example: # the old one\n    sigstore: file:///old\n  c.example: {}\n')
  await addTrust({ scope: 'a.example', type: 'signedBy', keys: [annsKey], lookaside: 'file:///new' }, context)
  const text = readFileSync(storage, 'utf8')
  assert.match(
    text,
    /^# ours\ndocker:\n {2}a\.example:\s+# the old one\n {4}lookaside: file:\/\/\/new\n {2}c\.example: \{\}\n$/,
  )
  const again = await addTrust(
    { scope: 'a.example', type: 'signedBy', keys: [annsKey], lookaside: 'file:///new' },
    context,
  )
  assert.deepEqual(again.written, [file])
})

test('folders, the default of a transport, and the default of all', async () => {
  await addTrust({ scope: '/srv/images', transport: 'oci', type: 'insecureAcceptAnything' }, context)
  await addTrust({ scope: '', transport: 'dir', type: 'reject' }, context)
  await addTrust({ scope: 'default', type: 'insecureAcceptAnything' }, context)
  const { default: initial, transports } = written() as unknown as { default: unknown; transports: unknown }
  assert.deepEqual(initial, [{ type: 'insecureAcceptAnything' }])
  assert.deepEqual(transports, {
    docker: policy.transports.docker,
    dir: { '': [{ type: 'reject' }] },
    oci: { '/srv/images': [{ type: 'insecureAcceptAnything' }] },
  })
  await setDefaultTrust('reject', context)
  assert.deepEqual(written().default, [{ type: 'reject' }])
})

test('what is deleted is gone, and can not be deleted again', async () => {
  await deleteTrust({ scope: 'a.example' }, context)
  assert.deepEqual(written(), { ...policy, transports: { docker: {}, dir: {} } })
  await refused(deleteTrust({ scope: 'a.example' }, context), { code: 'policy', message: /says nothing of docker: a/ })
  await refused(deleteTrust({ scope: 'default' }, context), { code: 'usage', message: /cannot be deleted/ })
})

test('a file that is a link stays one', async () => {
  const real = join(folder.path, 'real.json')
  writeFileSync(real, JSON.stringify(policy))
  const link = join(folder.path, 'link.json')
  symlinkSync('real.json', link)
  host = { environment: { CONTAINERS_POLICY_JSON: link } }
  await setDefaultTrust('accept', context)
  assert.equal(realpathSync(link), real)
  assert.deepEqual(JSON.parse(readFileSync(real, 'utf8')).default, [{ type: 'insecureAcceptAnything' }])
})

test('a file that was not there comes to accept all else, as none does', async () => {
  const fresh = join(folder.path, 'new/policy.json')
  host = { environment: { CONTAINERS_POLICY_JSON: fresh } }
  await addTrust({ scope: 'a.example', type: 'reject' }, context)
  assert.deepEqual(JSON.parse(readFileSync(fresh, 'utf8')), {
    default: [{ type: 'insecureAcceptAnything' }],
    transports: { docker: { 'a.example': [{ type: 'reject' }] } },
  })
  assert.equal(statSync(fresh).mode & 0o777, 0o644)
})

const wrong: [string, () => Parameters<typeof addTrust>[0], { code: string; message: RegExp }][] = [
  ['a short name', () => ({ scope: 'etcd', type: 'reject' }), { code: 'usage', message: /'etcd' is no scope/ }],
  ['a URL', () => ({ scope: 'docker://a.example', type: 'reject' }), { code: 'usage', message: /is no scope/ }],
  ['capitals', () => ({ scope: 'a.example/Team', type: 'reject' }), { code: 'usage', message: /is no scope/ }],
  ['a line end', () => ({ scope: 'a.example\n', type: 'reject' }), { code: 'usage', message: /is no scope/ }],
  [
    'a relative path',
    () => ({ scope: 'srv', transport: 'oci', type: 'reject' }),
    { code: 'usage', message: /is no scope/ },
  ],
  ['no key', () => ({ scope: 'b.example', type: 'signedBy' }), { code: 'usage', message: /needs a key/ }],
  [
    'a needless key',
    () => ({ scope: 'b.example', type: 'reject', keys: [annsKey] }),
    { code: 'usage', message: /no keys/ },
  ],
  [
    'a key that is not there',
    () => ({ scope: 'b.example', type: 'signedBy', keys: ['/none'] }),
    { code: 'usage', message: /ENOENT/ },
  ],
  [
    'a key that is none',
    () => ({ scope: 'b.example', type: 'signedBy', keys: [file] }),
    { code: 'policy', message: /no public keys/ },
  ],
  [
    'an address that is none',
    () => ({ scope: 'b.example', type: 'signedBy', keys: [annsKey], lookaside: 'ftp://x' }),
    { code: 'usage', message: /address/ },
  ],
  [
    'an address for a folder',
    () => ({ scope: '/srv', transport: 'oci', type: 'signedBy', keys: [annsKey], lookaside: 'file:///x' }),
    { code: 'usage', message: /registry/ },
  ],
]

for (const [title, request, expected] of wrong) {
  test(`${title} changes nothing`, () => refused(addTrust(request(), context), expected))
}

test('a policy or a storage that cannot be understood is left alone', async () => {
  const request = { scope: 'b.example', type: 'signedBy', keys: [annsKey], lookaside: 'file:///x' } as const
  writeFileSync(join(registries, 'broken.yaml'), 'docker: [\n')
  await refused(addTrust(request, context), { code: 'settings', message: /broken.yaml cannot be understood/ })
  writeFileSync(join(registries, 'broken.yaml'), '')
  writeFileSync(file, JSON.stringify({ ...policy, more: 1 }))
  await refused(addTrust(request, context), { code: 'policy', message: /more is not known/ })
  await refused(deleteTrust({ scope: 'a.example' }, context), { code: 'policy', message: /more is not known/ })
  // Which of the two is meant, nobody knows.
  writeFileSync(file, '{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}')
  await refused(addTrust(request, context), { code: 'policy', message: /'default' is there twice/ })
})

test('a policy that cannot be written takes the address back with it', async () => {
  const request = { scope: 'b.example', type: 'signedBy', keys: [annsKey], lookaside: 'file:///x' } as const
  // Nothing can be made there, not even by root.
  host = { environment: { HOME: folder.path, CONTAINERS_POLICY_JSON: '/proc/self/policy.json' } }
  await refused(addTrust(request, context), {
    code: 'host-file',
    message: /\/proc\/self\/policy.json cannot be written/,
  })
})

test('what is shown: keys, their owners, and where signatures are', async () => {
  await addTrust(
    { scope: 'b.example/team', type: 'signedBy', keys: [annsKey], lookaside: 'https://u:secret@s.example/x' },
    context,
  )
  const { file: shown, rows } = await showTrust()
  assert.equal(shown, file)
  assert.deepEqual(
    rows.map(({ transport, scope, type }) => [transport, scope, type].join(' ')),
    [' default reject', 'docker a.example reject', 'docker b.example/team signedBy'],
  )
  assert.deepEqual(rows[2], {
    ...{ transport: 'docker', scope: 'b.example/team', type: 'signedBy', identity: 'matchRepoDigestOrExact' },
    keys: [{ file: annsKey, keys: [{ fingerprint: ann, users: ['ann <ann@example.com>'] }] }],
    store: 'https://s.example/x',
  })
  assert.deepEqual((await showTrust('a.example')).rows, [rows[1]])
  assert.deepEqual((await showTrust('b.example/team/app:1')).rows, [rows[2]])
  assert.deepEqual((await showTrust('c.example/app')).rows, [rows[0]])
  assert.equal(rawTrust(), readFileSync(file, 'utf8').trimEnd())
})
