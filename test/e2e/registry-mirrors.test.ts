import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { type BreakingProxy, startBreakingProxy } from '../lab/breaking-proxy.ts'
import { startConnectProxy } from '../lab/connect-proxy.ts'
import { assembleImage } from '../lab/image.ts'
import { packLayer, sha256 } from '../lab/layer.ts'
import type { ExecResult } from '../lab/process.ts'
import { corrupt, cut, silence, stall, status } from '../lab/proxy-faults.ts'
import { type LabRegistry, startRegistry } from '../lab/registry.ts'
import { startTlsRegistry } from '../lab/tls-registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/**
 * registries.conf, certs.d and proxies in real pulls: `main` is what an image's name says, `mirror` another registry, each
 * behind a proxy that counts. The host knows the machine as `registry.lab`, too, which is not taken for loopback.
 */
const large = await packLayer({ blob: randomBytes(6_000_000) }, { compression: 'none' })
const digest = sha256(large.bytes)
const size = large.bytes.length
const layer = new RegExp(`^GET .*/blobs/${digest}$`)
const image = assembleImage([await packLayer({ 'etc/file': 'text' }), large])

let lab: InstalledHost
let mirrorRegistry: LabRegistry
let main: BreakingProxy
let mirror: BreakingProxy

before(async () => {
  lab = await installedHost()
  mkdirSync(join(lab.host.root, 'etc/forerun'))
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[registry]\nretries = 1\ntimeout = 2\n')
  appendFileSync(join(lab.host.root, 'etc/hosts'), '127.0.0.1 registry.lab\n')
  mirrorRegistry = await startRegistry()
  await lab.push('team/app:1', image)
  await mirrorRegistry.push(image, 'copies/app:1')
  main = await startBreakingProxy(lab.registry.address)
  mirror = await startBreakingProxy(mirrorRegistry.address)
})
beforeEach(() => {
  for (const path of ['var/lib/forerun/store', 'etc/containers']) {
    rmSync(join(lab.host.root, path), { recursive: true, force: true })
  }
  main.mend()
  mirror.mend()
})
after(async () => {
  for (const each of [main, mirror, mirrorRegistry, lab]) await each?.[Symbol.asyncDispose]()
})

test('what the mirror has is fetched from there, and stored under the name that was asked for', async () => {
  mirrored()
  const name = `${main.address}/team/app:1`
  const { stderr } = await pulled(name)
  assert.equal(mirror.served(layer), size, stderr)
  assert.deepEqual(main.requests, [])
  const { json } = await lab.must<{ repository: string; tag: string }[]>('images', 'list', '--json')
  assert.deepEqual(
    json.map(({ repository, tag }) => `${repository}:${tag}`),
    [name],
  )
})

test('an image that the mirror lacks comes from the place itself', async () => {
  await lab.push('team/only:1', image)
  mirrored()
  await pulled(`${main.address}/team/only:1`)
  assert.equal(main.served(layer), size)
  assert.ok(mirror.requests.some(({ path }) => path.includes('/copies/only/manifests/1')))
})

test('a mirror that is not there, that is broken, and that wants a password', async () => {
  conf(registryTable({ mirrors: ['127.0.0.1:1/copies', `${mirror.address}/copies`] }))
  mirror.spoil(/manifests/, status(500))
  await pulled(`${main.address}/team/app:1`)
  assert.equal(main.served(layer), size)
  await using guarded = await startRegistry({ auth: 'token', users: { ann: 'wonderland' } })
  await guarded.push(image, 'copies/app:1')
  fresh(registryTable({ mirrors: [`${guarded.address}/copies`] }))
  main.mend()
  await pulled(`${main.address}/team/app:1`)
  assert.equal(main.served(layer), size)
})

for (const [name, fault] of [
  ['dies', cut({ at: size / 2, reset: true })],
  ['falls silent', stall({ at: size / 2 })],
] as const) {
  test(`a mirror that ${name} in the middle of a layer is left, from the same byte`, async () => {
    mirrored()
    mirror.spoil(layer, fault, { times: 1 })
    mirror.spoil(layer, name === 'dies' ? cut({ at: 0, reset: true }) : silence)
    await pulled(`${main.address}/team/app:1`)
    assert.ok(main.served(layer) <= size / 2 + size / 20, `${main.served(layer)} bytes came from the place itself`)
    assert.ok(mirror.served(layer) >= size / 2)
    const asked = main.requests.filter(({ method, path }) => layer.test(`${method} ${path}`))
    assert.match(asked[0]?.headers.range ?? '', /^bytes=\d+-/)
  })
}

test('a mirror that has a wrong byte is left, and the layer is had from the place itself', async () => {
  mirrored()
  mirror.spoil(layer, corrupt({ at: size / 2 }))
  const { stderr } = await pulled(`${main.address}/team/app:1`)
  assert.match(stderr, /^the mirror .* is left for .*: it gave wrong bytes for sha256:/m)
  assert.equal(main.served(layer), size)
})

test('mirrors that are for digests only, or for tags only', async () => {
  const tag = `${main.address}/team/app:1`
  const byDigest = `${main.address}/team/app@${image.digest}`
  for (const [pulls, reference, expected] of [
    ['digest-only', tag, main],
    ['digest-only', byDigest, mirror],
    ['tag-only', tag, mirror],
    ['tag-only', byDigest, main],
    ['all', byDigest, mirror],
  ] as const) {
    fresh(`${registryTable({ mirrors: [`${mirror.address}/copies`] })}pull-from-mirror = "${pulls}"\n`)
    for (const proxy of [main, mirror]) proxy.mend()
    await pulled(reference)
    assert.equal(expected.served(layer), size, `${pulls} ${reference}`)
  }
  fresh(`[[registry]]
location = "${main.address}/team"
mirror-by-digest-only = true
[[registry.mirror]]
location = "${mirror.address}/copies"
`)
  main.mend()
  await pulled(tag)
  assert.equal(main.served(layer), size)
})

test('a blocked place is not asked, and one beneath it may be let through', async () => {
  conf(`[[registry]]\nlocation = "${main.address}"\nblocked = true\n`)
  const { status, stderr } = await forerun('pull', `${main.address}/team/app:1`)
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: .* is blocked by \/etc\/containers\/registries\.conf/m)
  assert.deepEqual(main.requests, [])
  const free = `[[registry]]\nlocation = "${main.address}/team"\n`
  fresh(`[[registry]]\nlocation = "${main.address}"\nblocked = true\n${free}`)
  const { stderr: told, status: ended } = await forerun('pull', `${main.address}/team/app:1`)
  assert.equal(ended, 0, told)
})

test('another location, by prefix and by wildcard, in a drop-in', async () => {
  const folder = 'etc/containers/registries.conf.d'
  mkdirSync(join(lab.host.root, folder), { recursive: true })
  const moved = `[[registry]]\nprefix = "example.test/old"\nlocation = "${mirror.address}/copies"\n`
  const wild = `[[registry]]\nprefix = "*.wild.test"\nlocation = "${main.address}"\n`
  writeFileSync(join(lab.host.root, folder, '10-moved.conf'), moved)
  writeFileSync(join(lab.host.root, folder, '20-wild.conf'), wild)
  await pulled('example.test/old/app:1')
  assert.equal(mirror.served(layer), size)
  rmSync(join(lab.host.root, 'var/lib/forerun/store'), { recursive: true })
  await pulled('deep.wild.test/team/app:1')
  assert.equal(main.served(layer), size)
})

test('plain HTTP only where insecure = true says so', async () => {
  const name = `registry.lab:${main.address.split(':')[1]}`
  const refused = await forerun('pull', `${name}/team/app:1`)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /does not speak TLS/)
  conf(`[[registry]]\nlocation = "${name}"\ninsecure = true\n`)
  await pulled(`${name}/team/app:1`)
})

test('short names: unqualified search in order, and aliases', async () => {
  conf(`unqualified-search-registries = ["${mirror.address}", "${main.address}"]\nshort-name-mode = "disabled"\n`)
  await pulled('team/app:1')
  assert.equal(main.served(layer), size)
  fresh(`[aliases]\n"app" = "${mirror.address}/copies/app"\n`)
  await pulled('app:1')
  assert.equal(mirror.served(layer), size)
})

test('TLS: the authority of certs.d, of --cert-dir, of somebody else, and of nobody', async () => {
  await using server = await startTlsRegistry(lab.registry.storage)
  await using other = await startTlsRegistry(lab.registry.storage)
  const name = `${server.address}/team/app:1`
  const folder = join(lab.host.root, 'etc/containers/certs.d', server.address)
  const refused = async (...words: string[]) => {
    const { status, stderr } = await forerun('pull', ...words, name)
    assert.equal(status, 1)
    assert.match(stderr, /^forerun: the certificate of .* is signed by an authority that this system does not trust/m)
  }
  await refused()
  mkdirSync(folder, { recursive: true })
  cpSync(other.caFile, join(folder, 'ca.crt'))
  await refused()
  cpSync(server.caFile, join(folder, 'ca.crt'))
  await pulled(name)
  rmSync(folder, { recursive: true })
  mkdirSync(join(lab.host.root, 'root/certificates'), { recursive: true })
  cpSync(server.caFile, join(lab.host.root, 'root/certificates/ca.crt'))
  fresh('')
  await pulled(name, '--cert-dir', '/root/certificates')
  fresh('')
  await pulled(name, '--tls-verify=false')
  await pulled(`localhost:${server.port}/team/app:1`, '--cert-dir', '/root/certificates')
})

test('TLS: a certificate of the client lets in where the registry demands one', async () => {
  await using server = await startTlsRegistry(lab.registry.storage, { clients: true })
  const folder = join(lab.host.root, 'etc/containers/certs.d', server.address)
  mkdirSync(folder, { recursive: true })
  cpSync(server.caFile, join(folder, 'ca.crt'))
  showCertificate(folder, server.client)
  await pulled(`${server.address}/team/app:1`)
})

test('TLS: no certificate of the client, or a wrong one, where the registry demands one', async () => {
  await using server = await startTlsRegistry(lab.registry.storage, { clients: true })
  await using other = await startTlsRegistry(lab.registry.storage, { clients: true })
  const name = `${server.address}/team/app:1`
  const folder = join(lab.host.root, 'etc/containers/certs.d', server.address)
  mkdirSync(folder, { recursive: true })
  cpSync(server.caFile, join(folder, 'ca.crt'))
  for (const certificate of [undefined, other.client]) {
    if (certificate !== undefined) showCertificate(folder, certificate)
    const { status, stderr } = await forerun('pull', name)
    assert.equal(status, 1)
    assert.match(stderr, /^forerun: .*TLS/m)
    assert.match(stderr, /^hint: .*NAME\.cert and NAME\.key into \/etc\/containers\/certs\.d/m)
  }
})

test('a proxy: credentials, exceptions, plain HTTP and tunnels', async () => {
  await using proxy = await startConnectProxy({ user: 'ann', password: 'wonder%land' })
  await using server = await startTlsRegistry(lab.registry.storage)
  const port = main.address.split(':')[1]
  const names = { plain: `registry.lab:${port}/team/app:1`, tls: `registry.lab:${server.port}/team/app:1` }
  conf(`[[registry]]\nlocation = "registry.lab:${port}"\ninsecure = true\n`)
  const url = proxy.urlWith('ann', 'wonder%25land')
  const through = async (name: string, env: Record<string, string>, ...words: string[]) => {
    rmSync(join(lab.host.root, 'var/lib/forerun/store'), { recursive: true, force: true })
    return lab.host.exec(['forerun', 'pull', ...words, name], { env, check: false, timeout: 30_000 })
  }

  const plain = await through(names.plain, { HTTP_PROXY: url, HTTPS_PROXY: url })
  assert.equal(plain.status, 0, plain.stderr)
  assert.ok(proxy.requests.some((line) => line.startsWith(`GET http://registry.lab:${port}/v2/team/app/`)))
  const tunnelled = await through(names.tls, { https_proxy: url }, '--tls-verify=false')
  assert.equal(tunnelled.status, 0, tunnelled.stderr)
  assert.ok(proxy.requests.includes(`CONNECT registry.lab:${server.port}`))

  const before = proxy.requests.length
  for (const exception of ['registry.lab', '.lab,other', '*', `registry.lab:${server.port}`]) {
    const direct = await through(names.tls, { HTTPS_PROXY: url, NO_PROXY: exception }, '--tls-verify=false')
    assert.equal(direct.status, 0, direct.stderr)
  }
  assert.equal(proxy.requests.length, before)

  for (const [user, password] of [['ann', 'hush-hush']] as const) {
    const wrong = proxy.urlWith(user, password)
    for (const [name, variable] of [
      [names.tls, 'HTTPS_PROXY'],
      [names.plain, 'HTTP_PROXY'],
    ] as const) {
      const refused = await through(name, { [variable]: wrong, HTTPS_PROXY: wrong }, '--tls-verify=false', '--debug')
      assert.equal(refused.status, 1)
      assert.match(refused.stderr, /^forerun: the proxy .* does not accept the user and password/m)
      assert.ok(!`${refused.stdout}${refused.stderr}`.includes(password))
    }
  }
  assert.ok(proxy.refused >= 2)
})

/** `main` with the mirror's `copies` for its `team`. */
function mirrored(): void {
  conf(registryTable({ mirrors: [`${mirror.address}/copies`] }))
}

function registryTable({ mirrors }: { mirrors: readonly string[] }): string {
  const tables = mirrors.map((location) => `[[registry.mirror]]\nlocation = "${location}"\n`)
  return `[[registry]]\nlocation = "${main.address}/team"\n${tables.join('')}`
}

function conf(text: string): void {
  mkdirSync(join(lab.host.root, 'etc/containers'), { recursive: true })
  writeFileSync(join(lab.host.root, 'etc/containers/registries.conf'), text)
}

/** As `conf`, with an empty store. */
function fresh(text: string): void {
  rmSync(join(lab.host.root, 'var/lib/forerun/store'), { recursive: true, force: true })
  conf(text)
}

function showCertificate(folder: string, { certificateFile, keyFile }: { certificateFile: string; keyFile: string }) {
  cpSync(certificateFile, join(folder, 'client.cert'))
  cpSync(keyFile, join(folder, 'client.key'))
}

/** Runs forerun, which has to end long before this. */
function forerun(...words: string[]): Promise<ExecResult> {
  return lab.host.exec(['forerun', ...words], { check: false, timeout: 30_000 })
}

async function pulled(name: string, ...words: string[]): Promise<ExecResult> {
  const result = await forerun('pull', ...words, name)
  assert.equal(result.status, 0, result.stderr)
  return result
}
