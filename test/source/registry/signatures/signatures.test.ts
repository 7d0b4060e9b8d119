import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ForerunEvent } from '../../../../src/events.ts'
import { digestHex, digestOf } from '../../../../src/image/digest.ts'
import { parseReference } from '../../../../src/image/reference.ts'
import type { ImageSignatures } from '../../../../src/image/signature.ts'
import { readSignatures } from '../../../../src/source/registry/signatures/signatures.ts'
import { openRegistry } from '../../../../src/source/registry/transport/registry.ts'
import { descriptor, indexOf, json, ociManifest } from '../image.ts'
import { quick } from '../reading.ts'
import { type Handler, serve } from '../server.ts'

const image = Buffer.from('{"schemaVersion":2}')
const digest = digestOf(image)
const tag = `sha256-${digestHex(digest)}`
const simpleSigning = 'application/vnd.dev.cosign.simplesigning.v1+json'
const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const openPgp = (text: string) => Buffer.concat([Buffer.of(0x90, 0x0d), Buffer.from(text)])

/** A host with this in its registries.d, and a folder for a lookaside storage. */
class Host implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'forerun-signatures-'))
  readonly events: ForerunEvent[] = []

  configure(section: object): this {
    mkdirSync(join(this.folder, 'etc/containers/registries.d'), { recursive: true })
    writeFileSync(
      join(this.folder, 'etc/containers/registries.d/a.yaml'),
      JSON.stringify({ 'default-docker': section }),
    )
    return this
  }

  async read(host: string, name = `${host}/team/app:1`, claimed = digest): Promise<ImageSignatures> {
    const registry = openRegistry(parseReference(`${host}/team/app:1`), quick)
    const context = {
      signal: new AbortController().signal,
      emit: (event: ForerunEvent) => void this.events.push(event),
    }
    try {
      const place = { root: this.folder, environment: {} }
      return await readSignatures(registry, claimed, { context, reference: parseReference(name), place })
    } finally {
      await registry.dispatcher.destroy()
    }
  }

  store(names: Record<string, Buffer>, repository = 'team/app'): void {
    const folder = join(this.folder, 'storage', `${repository}@sha256=${digestHex(digest)}`)
    mkdirSync(folder, { recursive: true })
    for (const [name, bytes] of Object.entries(names)) writeFileSync(join(folder, name), bytes)
  }

  get lookaside(): string {
    return `file://${this.folder}/storage/`
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

/** Answers by address below `/v2/team/app/`, and counts what was asked for. */
function registryOf(documents: Record<string, Buffer | object | number>): Handler {
  return ({ url = '' }, response) => {
    const found = url === '/v2/' ? {} : documents[url.replace(/^\/v2\/team\/app\//, '')]
    if (typeof found === 'number') return void response.writeHead(found).end('{}')
    if (found === undefined) return void response.writeHead(404).end('{}')
    response.end(Buffer.isBuffer(found) ? found : json(found))
  }
}

test('a lookaside storage is read from 1 on until a signature is missing', async () => {
  using host = new Host()
  host.configure({ lookaside: host.lookaside })
  host.store({ 'signature-1': openPgp('a'), 'signature-2': openPgp('b'), 'signature-4': openPgp('d') })
  const { simple, sigstore, sigstoreIgnored } = await host.read('registry.invalid')
  assert.deepEqual(
    simple.map(({ content }) => content),
    [openPgp('a'), openPgp('b')],
  )
  assert.match(simple[1]?.origin ?? '', /storage\/team\/app@sha256=[0-9a-f]{64}\/signature-2$/)
  assert.deepEqual(sigstore, [])
  assert.match(sigstoreIgnored ?? '', /^To look for signatures in the registry, write 'use-sigstore-attachments: true'/)
})

test("a mirror's image has the signatures of its own name", async () => {
  using host = new Host()
  host.configure({ lookaside: host.lookaside })
  host.store({ 'signature-1': openPgp('a') }, 'library/busybox')
  const { simple } = await host.read('mirror.invalid', 'docker.io/library/busybox:1')
  assert.equal(simple.length, 1)
})

test('a storage on the web is read with retries, and its end is 404', async () => {
  let failures = 2
  await using server = await serve(({ url = '', headers }, response) => {
    if (url.startsWith('/v2/')) return void response.end('{}')
    assert.equal(headers.authorization, `Basic ${Buffer.from('ann:p w').toString('base64')}`)
    if (failures-- > 0) return void response.writeHead(503).end()
    const name = /^\/sigs\/team\/app@sha256=[0-9a-f]{64}\/signature-(\d)$/.exec(url)?.[1]
    if (name === '1') return void response.writeHead(302, { location: '/moved' }).end()
    if (url === '/moved') return void response.end(openPgp('moved'))
    response.writeHead(404).end('<html>')
  })
  using host = new Host()
  host.configure({ lookaside: `${server.origin.replace('://', '://ann:p%20w@')}/sigs` })
  const { simple } = await host.read('registry.invalid')
  assert.deepEqual(simple, [
    { origin: `${server.origin}/sigs/team/app@sha256=${digestHex(digest)}/signature-1`, content: openPgp('moved') },
  ])
  assert.equal(host.events.filter(({ type }) => type === 'retry').length, 2)
  assert.doesNotMatch(JSON.stringify(host.events), /p%20w|p w/)
})

test('a storage that fails is not one that is empty', async () => {
  for (const [status, code] of [
    [403, 'unauthorized'],
    [500, 'registry'],
    [400, 'registry'],
  ] as const) {
    await using server = await serve((_, response) => void response.writeHead(status).end())
    using host = new Host()
    host.configure({ lookaside: server.origin })
    await assert.rejects(host.read('registry.invalid'), { name: 'ForerunError', code })
  }
  using host = new Host()
  host.configure({ lookaside: host.lookaside })
  host.store({})
  mkdirSync(join(host.folder, 'storage', `team/app@sha256=${digestHex(digest)}`, 'signature-1'))
  await assert.rejects(host.read('registry.invalid'), {
    code: 'signature',
    message: /^cannot read the signature .*EISDIR/,
  })
})

test('a storage of too many, too large or endless signatures is refused', async () => {
  using many = new Host()
  many.configure({ lookaside: many.lookaside })
  many.store(Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`signature-${index + 1}`, openPgp('a')])))
  await assert.rejects(many.read('registry.invalid'), { code: 'limit', message: /more than 128 signatures/ })
  using large = new Host()
  large.configure({ lookaside: large.lookaside })
  large.store({ 'signature-1': openPgp('a') })
  const file = join(large.folder, 'storage', `team/app@sha256=${digestHex(digest)}`, 'signature-1')
  truncateSync(file, 2 ** 32)
  await assert.rejects(large.read('registry.invalid'), { code: 'limit', message: /more than 4194304 bytes/ })
  rmSync(file)
  execFileSync('mkfifo', [file])
  await assert.rejects(large.read('registry.invalid'), { code: 'signature', message: /is neither an OpenPGP message/ })
  await using server = await serve((_, response) => void response.end(Buffer.alloc(5 * 1024 * 1024, 0x90)))
  large.configure({ lookaside: server.origin })
  await assert.rejects(large.read('registry.invalid'), {
    code: 'limit',
    message: /a signature of .* more than 4194304 bytes/,
  })
  await using endless = await serve((_, response) => void response.end(openPgp('again')))
  large.configure({ lookaside: endless.origin })
  await assert.rejects(large.read('registry.invalid'), { code: 'limit', message: /more than 128 signatures/ })
  assert.equal(endless.requests.length, 129)
})

test('what lies in a storage and is no signature is an error that names it', async () => {
  using host = new Host()
  host.configure({ lookaside: host.lookaside })
  const annotations = { 'dev.cosignproject.cosign/signature': 'x' }
  const stored = (value: unknown) => Buffer.from(`\0sigstore-json\n${JSON.stringify(value)}`)
  for (const bytes of ['', 'text', '<html>', '\0', '\0other\nx', '\0sigstore-json\n{', '\0sigstore-json\n{}']) {
    host.store({ 'signature-1': Buffer.from(bytes) })
    await assert.rejects(host.read('registry.invalid'), {
      code: 'signature',
      message: /signature-1 (?:is neither|cannot be read)/,
    })
  }
  host.store({
    'signature-1': stored({ mimeType: simpleSigning, payload: Buffer.from('p').toString('base64'), annotations }),
    'signature-2': stored({ mimeType: 'application/other', payload: '', annotations: {} }),
    'signature-3': Buffer.concat([Buffer.from('\0simple-signing\n'), openPgp('a')]),
    'signature-4': Buffer.concat([Buffer.of(0xa3), Buffer.from('compressed')]),
    'signature-5': Buffer.concat([Buffer.of(0xc4), Buffer.from('one pass')]),
  })
  const { simple, sigstore } = await host.read('registry.invalid')
  assert.deepEqual(
    sigstore.map(({ content }) => content),
    [{ kind: 'simple-signing', payload: Buffer.from('p'), annotations }],
  )
  assert.equal(simple.length, 3)
})

test('signatures that are each small enough and together are not are refused', async () => {
  using host = new Host()
  host.configure({ lookaside: host.lookaside })
  const large = Buffer.alloc(4 * 1024 * 1024, 0x90)
  host.store(Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`signature-${index + 1}`, large])))
  await assert.rejects(host.read('registry.invalid'), {
    code: 'limit',
    message: /have more than 33554432 bytes: .*signature-9$/,
  })
})

test("signatures under cosign's tag are read from its layers, and other layers are not fetched", async () => {
  const [one, two] = [Buffer.from('{"critical":1}'), Buffer.from('{"critical":2}')]
  const annotations = { 'dev.cosignproject.cosign/signature': 'c2ln' }
  const other = descriptor('application/vnd.dsse.envelope.v1+json', Buffer.from('never fetched'))
  const embedded = { ...descriptor(simpleSigning, two), data: two.toString('base64') }
  const manifest = { schemaVersion: 2, layers: [{ ...descriptor(simpleSigning, one), annotations }, other, embedded] }
  await using server = await serve(registryOf({ [`manifests/${tag}.sig`]: manifest, [`blobs/${digestOf(one)}`]: one }))
  using host = new Host()
  host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': true })
  const { sigstore, sigstoreIgnored } = await host.read(server.host)
  assert.equal(sigstoreIgnored, undefined)
  const origin = `${server.host}/team/app:${tag}.sig`
  assert.deepEqual(sigstore, [
    { origin: `${origin} #1`, content: { kind: 'simple-signing', payload: one, annotations } },
    { origin: `${origin} #3`, content: { kind: 'simple-signing', payload: two, annotations: {} } },
  ])
})

test('without use-sigstore-attachments the registry is not asked', async () => {
  await using server = await serve(registryOf({}))
  using host = new Host()
  await host.configure({ lookaside: host.lookaside }).read(server.host)
  await host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': false }).read(server.host)
  assert.equal(server.requests.length, 0)
})

const bundle = Buffer.from('{"mediaType":"bundle"}')
const attached = json({
  schemaVersion: 2,
  mediaType: ociManifest,
  artifactType: bundleType,
  layers: [descriptor(bundleType, bundle)],
})
const listed = { ...descriptor(ociManifest, attached), artifactType: bundleType }
const blobs = { [`blobs/${digestOf(bundle)}`]: bundle, [`manifests/${digestOf(attached)}`]: attached }
const found = [{ origin: `/team/app@${digestOf(attached)}`, content: { kind: 'bundle', bytes: bundle } }]

function shown({ sigstore }: ImageSignatures, host: string) {
  return sigstore.map(({ origin, content }) => ({ origin: origin.replace(host, ''), content }))
}

test('bundles are found by the referrers, and by their tag where a registry lists none', async () => {
  const lists: Record<string, object>[] = [
    { [`referrers/${digest}`]: indexOf(listed), [`manifests/${tag}`]: indexOf() },
    { [`manifests/${tag}`]: indexOf(listed) },
    // As older tools wrote it: the configuration's type, or nothing.
    { [`manifests/${tag}`]: indexOf({ ...listed, artifactType: 'application/vnd.oci.empty.v1+json' }) },
    { [`manifests/${tag}`]: indexOf({ ...listed, artifactType: undefined }) },
    // What is no descriptor hides none that is.
    { [`referrers/${digest}`]: indexOf({ ...listed, digest: 'blake3:00' }, {}, listed) },
  ]
  for (const list of lists) {
    await using server = await serve(registryOf({ ...blobs, ...list }))
    using host = new Host()
    host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': true })
    assert.deepEqual(shown(await host.read(server.host), server.host), found)
  }
})

test('attestations and other artifacts among the referrers are not fetched', async () => {
  const annotations = { 'dev.sigstore.bundle.predicateType': 'https://slsa.dev/provenance/v1' }
  const others = [
    { ...listed, annotations },
    { ...listed, artifactType: 'application/spdx+json' },
    { ...listed, mediaType: 'application/vnd.oci.image.index.v1+json' },
  ]
  await using server = await serve(registryOf({ [`referrers/${digest}`]: indexOf(...others) }))
  using host = new Host()
  host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': true })
  assert.deepEqual(shown(await host.read(server.host), server.host), [])
})

test('a list of referrers goes on by its links, within bounds and in one place', async () => {
  const page = (link: (url: URL) => string | undefined): Handler => {
    const rest = registryOf({ ...blobs })
    return (request, response) => {
      const url = new URL(request.url ?? '', 'http://x')
      if (!url.pathname.includes('/referrers/')) return rest(request, response)
      const next = link(url)
      if (next !== undefined) response.setHeader('link', `<${next}>; rel="next"`)
      response.end(url.search === '?n=2' ? indexOf(listed) : indexOf())
    }
  }
  using host = new Host()
  host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': true })
  const number = (url: URL) => Number(url.searchParams.get('n') ?? 0)
  await using good = await serve(page((url) => (number(url) < 3 ? `${url.pathname}?n=${number(url) + 1}` : undefined)))
  assert.deepEqual(shown(await host.read(good.host), good.host), found)
  await using endless = await serve(page((url) => `?n=${number(url) + 3}`))
  await assert.rejects(host.read(endless.host), { code: 'registry', message: /more than 32 pages/ })
  await using elsewhere = await serve(page(() => 'http://127.0.0.1:1/v2/x/y/referrers/z'))
  await assert.rejects(host.read(elsewhere.host), { code: 'registry', message: /elsewhere/ })
})

test('attachments that are not what their descriptors say are refused', async () => {
  const payload = Buffer.from('{"critical":1}')
  const sigs = (layer: object) => ({ [`manifests/${tag}.sig`]: { schemaVersion: 2, layers: [layer] } })
  const good = descriptor(simpleSigning, payload)
  const cases: [Record<string, Buffer | object | number>, string, RegExp][] = [
    [{ ...sigs(good), [`blobs/${good.digest}`]: Buffer.from('{"critical":2}') }, 'digest', /^a signature is sha256/],
    [{ ...sigs(good), [`blobs/${good.digest}`]: Buffer.from('{') }, 'registry|digest', /./],
    [sigs(good), 'registry', /lacks sha256/],
    [sigs({ ...good, size: 2 ** 30 }), 'limit', /has more than 4194304 bytes$/],
    [
      { [`manifests/${tag}.sig`]: { layers: Array.from({ length: 129 }, () => good) } },
      'limit',
      /more than 128 signatures/,
    ],
    [{ [`manifests/${tag}.sig`]: Buffer.from('<html>') }, 'manifest', /is not JSON/],
    [{ [`manifests/${tag}.sig`]: { layers: [{}] } }, 'manifest', /is malformed: layers\[0\]/],
    [{ [`manifests/${tag}.sig`]: 403 }, 'unauthorized', /./],
    [{ [`referrers/${digest}`]: 500 }, 'registry', /./],
    [{ [`referrers/${digest}`]: Buffer.from('<html>') }, 'manifest', /what refers to the image is not JSON/],
    [{ [`referrers/${digest}`]: indexOf(...Array.from({ length: 129 }, () => listed)) }, 'limit', /more than 128/],
    [
      { ...blobs, [`referrers/${digest}`]: indexOf(listed), [`manifests/${listed.digest}`]: json({ layers: [] }) },
      'digest',
      /./,
    ],
  ]
  for (const [documents, code, message] of cases) {
    await using server = await serve(registryOf(documents))
    using host = new Host()
    host.configure({ lookaside: host.lookaside, 'use-sigstore-attachments': true })
    await assert.rejects(host.read(server.host), (error: Error & { code?: string }) => {
      assert.equal(error.name, 'ForerunError', String(error.stack))
      assert.match(error.code ?? '', new RegExp(`^(?:${code})$`))
      assert.match(error.message, message)
      return true
    })
  }
})
