import assert from 'node:assert/strict'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import type { Trust } from '../../src/operations/access/show-trust.ts'
import { assembleImage, type LabImage } from '../lab/image.ts'
import { packLayer } from '../lab/layer.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'
import { serve } from '../source/registry/server.ts'
import { type GpgHome, gpgHome } from '../trust/gpg-home.ts'
import { assertRefused, serviceWith } from './bad-input.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Images that skopeo signs with gpg, and a host whose policy.json wants those signatures. */
let lab: InstalledHost
let gpg: GpgHome
let ann: string
let ben: string
let image: LabImage
let team: string

const policyFile = '/etc/containers/policy.json'
const annsKey = '/etc/pki/containers/ann.gpg'
const signatures = '/srv/signatures'

before(async () => {
  await ensurePackages(['skopeo'])
  lab = await installedHost()
  gpg = await gpgHome()
  ann = await gpg.key('ann@example.com')
  ben = await gpg.key('ben@example.com')
  image = assembleImage([await packLayer({ 'etc/file': 'text' })])
  team = `${lab.registry.address}/team`
  put(annsKey, await gpg.publicKey([ann], { armor: true }))
})

after(async () => {
  await gpg?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
})

beforeEach(async () => {
  for (const path of ['/etc/containers', signatures]) rmSync(inHost(path), { recursive: true, force: true })
  await lab.must('trust', 'default', 'reject')
  await lab.must('trust', 'add', '-k', annsKey, '--lookaside', `file://${signatures}`, team)
})

function inHost(path: string): string {
  return join(lab.host.root, path)
}

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(inHost(path)), { recursive: true })
  writeFileSync(inHost(path), content)
}

/** Stores an image, and signs it there as an author would. @returns its reference. */
async function signed(name: string, options: { by?: string; image?: LabImage } = {}): Promise<string> {
  const { by = ann } = options
  const reference = await lab.push(name, options.image ?? image)
  const registries = join(gpg.path, 'registries.d')
  mkdirSync(registries, { recursive: true })
  writeFileSync(join(registries, 'all.yaml'), `default-docker:\n  lookaside: file://${inHost(signatures)}\n`)
  await execute(
    [
      ...['skopeo', '--insecure-policy', '--registries.d', registries, 'copy', '--sign-by', by],
      ...['--src-tls-verify=false', '--dest-tls-verify=false', `docker://${reference}`, `docker://${reference}`],
    ],
    { env: { ...process.env, GNUPGHOME: gpg.path } },
  )
  return reference
}

/** The only signature of a repository, as a path on this machine. */
function signatureOf(repository: string): string {
  const [folder = ''] = readdirSync(inHost(`${signatures}/team`)).filter((name) => name.startsWith(`${repository}@`))
  return join(inHost(`${signatures}/team`), folder, 'signature-1')
}

function refused(reference: string, message: RegExp, complaint: { code?: string; hint?: RegExp } = {}): Promise<void> {
  return assertRefused(lab, ['install', '--system', reference], { code: 'policy', message, ...complaint })
}

test('an image that is signed for its name is installed, and one that is not is refused', async () => {
  const service = await signed('team/service:1', { image: await serviceWith() })
  await lab.must('install', '--system', '--name', 'service', service)
  await lab.must('uninstall', 'service')
  const unsigned = await lab.push('team/unsigned:1', image)
  const wanted = `${policyFile} \\(docker: ${team}\\) wants a signature by the key ${annsKey}; found none$`
  await refused(unsigned, new RegExp(`^${unsigned} is not accepted: ${wanted}`), { hint: /lookaside/ })
  await assertRefused(lab, ['pull', unsigned], { code: 'policy', message: new RegExp(wanted) })
})

test('the name by digest is as good as any tag that was signed', async () => {
  const reference = await signed('team/digest:1')
  const { digest } = image.manifests.at(-1) ?? assert.fail()
  await lab.must('pull', `${reference.replace(/:1$/, '')}@${digest}`)
  await lab.must('pull', reference)
})

test('what no scope names is rejected', async () => {
  const other = await lab.push('other/app:1', image)
  await refused(other, /\/etc\/containers\/policy\.json \(default\) rejects it$/, {
    hint: /forerun trust add .*other\/app/,
  })
  mkdirSync(inHost('/srv/layout'), { recursive: true })
  await execute([
    ...['skopeo', '--insecure-policy', 'copy', '--src-tls-verify=false'],
    ...[`docker://${other}`, `oci:${inHost('/srv/layout')}:1`],
  ])
  await refused('oci:/srv/layout:1', /\(default\) rejects it$/)
  await lab.must('trust', 'add', '--type', 'accept', '--sigstoretype', 'oci', '/srv')
  await lab.must('pull', 'oci:/srv/layout:1')
})

test('another key, another image, and a signature that was replayed from another tag', async () => {
  const bens = await signed('team/bens:1', { by: ben })
  await refused(bens, new RegExp(`found 1: .*signature-1 is by an unknown key ${ben.slice(-16)}$`))
  const replayed = await signed('team/replayed:1')
  await refused(
    await lab.push('team/replayed:2', image),
    new RegExp(`signature-1 is for another name \\(${replayed}\\)$`),
  )
  const first = await signed('team/first:1')
  const other = assembleImage([await packLayer({ 'etc/file': 'other' })])
  const second = await signed('team/second:1', { image: other })
  copyFileSync(signatureOf('first'), signatureOf('second'))
  await refused(second, new RegExp(`signature-1 is of another image \\(${first}, sha256:`))
})

test('what was accepted under one name is judged again under another that it got without a signature', async () => {
  const service = await serviceWith()
  const first = await signed('team/renamed:1', { image: service })
  await lab.must('pull', first)
  const second = await lab.push('team/renamed:2', service)
  await lab.must('trust', 'add', '--type', 'accept', '--sigstoretype', 'oci', '/srv')
  const layout = '/srv/renamed'
  await execute([
    ...['skopeo', '--insecure-policy', 'copy', '--src-tls-verify=false'],
    ...[`docker://${second}`, `oci:${inHost(layout)}:${second}`],
  ])
  await lab.must('pull', `oci:${layout}:${second}`)
  await refused(second, new RegExp(`signature-1 is for another name \\(${first}\\)$`))
  await lab.must('images', 'tag', first, second)
  await refused(second, new RegExp(`signature-1 is for another name \\(${first}\\)$`))
  await lab.must('install', '--system', '--name', 'renamed', first)
  await lab.must('uninstall', 'renamed')
})

test('a signature that is truncated, damaged, too large, or no signature', async () => {
  const reference = await signed('team/broken:1')
  const file = signatureOf('broken')
  const whole = readFileSync(file)
  truncateSync(file, whole.length - 20)
  await refused(reference, /signature-1 is truncated$|exactly one signature$/)
  const damaged = Buffer.from(whole)
  damaged[40] = (damaged[40] ?? 0) ^ 1
  writeFileSync(file, damaged)
  await refused(reference, /signature-1 /)
  writeFileSync(file, Buffer.concat([whole, whole]))
  await refused(reference, /signature-1 is followed by something else$|exactly one signature$/)
  writeFileSync(file, 'no signature')
  await refused(reference, /signature-1 is neither an OpenPGP message nor/, { code: 'signature' })
  writeFileSync(file, Buffer.alloc(5 * 1024 * 1024, 0xa3))
  await refused(reference, /more than 4194304 bytes/, { code: 'limit' })
})

test('a second signature counts when the first does not', async () => {
  await signed('team/both:1', { by: ben })
  await lab.must('pull', await signed('team/both:1'))
  assert.equal(readdirSync(dirname(signatureOf('both'))).length, 2)
})

test('all keys of a scope must have signed', async () => {
  put('/etc/pki/containers/ben.gpg', await gpg.publicKey([ben]))
  await lab.must('trust', 'add', '-k', annsKey, '-k', '/etc/pki/containers/ben.gpg', team)
  const reference = await signed('team/two:1')
  await refused(reference, /wants a signature by the key \/etc\/pki\/containers\/ben\.gpg; found 1/)
  await signed('team/two:1', { by: ben })
  await lab.must('pull', reference)
})

test('signatures come over HTTP, and a storage that fails is not one that is empty', async () => {
  const reference = await signed('team/web:1')
  const folder = join(gpg.path, 'web')
  cpSync(inHost(signatures), folder, { recursive: true })
  rmSync(inHost(signatures), { recursive: true })
  let isDown = true
  await using server = await serve((request, response) => {
    if (isDown) return void response.writeHead(403).end()
    try {
      response.end(readFileSync(join(folder, decodeURIComponent(request.url ?? ''))))
    } catch {
      response.writeHead(404).end()
    }
  })
  await lab.must('trust', 'add', '-k', annsKey, '--lookaside', `http://${server.host}`, team)
  await refused(reference, /403/, { code: 'unauthorized' })
  isDown = false
  await lab.must('pull', reference)
})

test('a policy that cannot be understood, and a key that is not there', async () => {
  const reference = await signed('team/policy:1')
  rmSync(inHost(annsKey))
  await refused(reference, /ann\.gpg, which policy\.json names, is not there$/)
  put(annsKey, 'no key')
  await refused(reference, /ann\.gpg, which policy\.json names, holds no public keys/)
  put(annsKey, await gpg.publicKey([ann]))
  put(policyFile, '{"default":[{"type":"insecureAcceptAnything"}],"transport":{}}')
  await refused(reference, /policy\.json cannot be understood, so that no image is accepted: transport is not known$/)
})

test('a host without gpgv says what to install', async () => {
  const reference = await signed('team/gpgv:1')
  await lab.shell('mv /usr/bin/gpgv /usr/bin/gpgv.away')
  try {
    await refused(reference, /gpgv, which verifies them, is not installed/, { hint: /apt install gpgv/ })
  } finally {
    await lab.shell('mv /usr/bin/gpgv.away /usr/bin/gpgv')
  }
})

test('the policy is shown, and edits that cannot be made leave the host as it was', async () => {
  const { json } = await lab.must<Trust>('trust', 'show', '--json')
  assert.deepEqual(
    json.rows.map(({ transport, scope, type, store }) => ({ transport, scope, type, store })),
    [
      { transport: '', scope: 'default', type: 'reject', store: undefined },
      { transport: 'docker', scope: team, type: 'signedBy', store: `file://${signatures}` },
    ],
  )
  const { stdout } = await lab.must('trust', 'show')
  assert.match(stdout, /^TRANSPORT +SCOPE +TYPE +KEYS +STORE\nall +default +reject\ndocker +127/)
  const { stdout: raw } = await lab.must('trust', 'show', '--raw')
  assert.equal(raw, readFileSync(inHost(policyFile), 'utf8'))
  for (const words of [
    ['default', 'maybe'],
    ['add', 'etcd'],
  ]) {
    await assertRefused(lab, ['trust', ...words], { code: 'usage', message: /./ })
  }
  await assertRefused(lab, ['trust', 'delete', 'a.example'], { code: 'policy', message: /says nothing of docker: a/ })
  const before = lab.files()
  await lab.must('trust', 'delete', team)
  assert.deepEqual(
    changesSince(before, lab).map((line) => line.split(' ')[1]),
    [`${policyFile}:`],
  )
})

test('a host without policy.json accepts everything, and says so', async () => {
  rmSync(inHost('/etc/containers'), { recursive: true })
  await lab.must('pull', await lab.push('other/free:1', image))
  const { json } = await lab.must<Trust>('trust', 'show', '--json')
  assert.deepEqual(
    json.rows.map(({ type }) => type),
    ['insecureAcceptAnything'],
  )
  await assertRefused(lab, ['trust', 'show', '--raw'], { code: 'policy', message: /every image is accepted/ })
})
