import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { assembleImage, type LabImage } from '../lab/image.ts'
import { layerOf, packLayer, sha256 } from '../lab/layer.ts'
import { makeCertificates } from '../source/registry/certificates.ts'
import { type Handler, serve, serveSockets } from '../source/registry/server.ts'
import { assertComplaint, assertNothingUnfinished, assertRefused, impatientHost, registryOfOne } from './bad-input.ts'
import { changesSince, type InstalledHost, until } from './installed-host.ts'

/** Registries that are not there, refuse, lie, or break off. Nothing is ever pulled: the store has to be as it was, too. */
let lab: InstalledHost
let image: LabImage

before(async () => {
  lab = await impatientHost()
  image = assembleImage([await packLayer({ 'etc/file': 'text' })])
})
after(() => lab[Symbol.asyncDispose]())

/** Asserts what an installation from a registry with this behaviour ends with. */
async function refusedBy(handler: Handler, code: string, message: RegExp): Promise<void> {
  await using server = await serve(handler)
  await assertRefused(lab, ['install', '--system', `${server.host}/team/app:1`], { code, message })
}

const answering =
  (status: number, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end('{}')

test('a registry that refuses the connection', async () => {
  const { host } = await closedServer()
  await assertRefused(lab, ['install', '--system', `${host}/team/app`], {
    code: 'registry',
    message: new RegExp(`^${host} refuses the connection`),
  })
})

test('a registry whose name does not exist, or that no name server knows', async () => {
  const answers = createSocket('udp4', (query, { port, address }) => {
    // RFC 1035, 4.1.1: the question comes back with QR, RD and RA set, and the code for a name that does not exist.
    answers.send(Buffer.concat([query.subarray(0, 2), Buffer.of(0x81, 0x83), query.subarray(4)]), port, address)
  })
  answers.bind(53, '127.0.0.153')
  await once(answers, 'listening')
  const words = ['install', '--system', 'registry.example/team/app']
  const resolver = join(lab.host.root, 'etc/resolv.conf')
  try {
    writeFileSync(resolver, 'nameserver 127.0.0.153\n')
    await assertRefused(lab, words, { code: 'registry', message: /^there is no host registry\.example/ })
    writeFileSync(resolver, 'nameserver 127.0.0.154\noptions timeout:1 attempts:1\n')
    await assertRefused(lab, words, { code: 'registry', message: /registry\.example .*no name server answers/ })
  } finally {
    answers.close()
  }
})

test('a registry whose certificate is self-signed, expired, for another host, or of an unknown authority', async () => {
  const { selfSigned, expired, otherHost, good, authority } = makeCertificates()
  const expectations = [
    [selfSigned, 'system', /is self-signed/],
    [good, 'system', /signed by an authority that this system does not trust/],
    [expired, 'trusted', /has expired/],
    [otherHost, 'trusted', /is made for another host/],
  ] as const
  const bundle = join(lab.host.root, 'etc/ssl/certs/ca-certificates.crt')
  for (const [certificate, trust, message] of expectations) {
    if (trust === 'trusted') writeFileSync(bundle, authority)
    await using server = await serve(registryOfOne(image), certificate)
    const words = ['install', '--system', `${server.host}/team/app`]
    await assertRefused(lab, words, { code: 'registry', message, hint: /--tls-verify=false/ })
  }
})

test('a registry that answers 401, 403, 404, 429 or 5xx', async () => {
  await refusedBy(answering(401), 'unauthorized', /wants a user and a password for .*team\/app/)
  await refusedBy(answering(403), 'unauthorized', /refuses access to .*team\/app \(403 Forbidden\)/)
  await refusedBy(answering(404), 'image-not-found', /team\/app/)
  await refusedBy(answering(429, { 'retry-after': '1' }), 'registry', /too many requests .*after 2 attempts/)
  await refusedBy(answering(429, { 'retry-after': '86400' }), 'registry', /too many requests \(429/)
  await refusedBy(answering(500), 'registry', /\(500 Internal Server Error\), after 2 attempts/)
  await refusedBy(answering(503), 'registry', /\(503 Service Unavailable\), after 2 attempts/)
})

test('no such image, no such tag, no such digest, no such platform', async () => {
  const { address } = lab.registry
  await lab.push('real/app:1', image)
  for (const name of ['real/other', 'real/app:2', `real/app@sha256:${'0'.repeat(64)}`]) {
    await assertRefused(lab, ['install', '--system', '--name', 'app', `${address}/${name}`], {
      code: 'image-not-found',
      message: /real\/(other|app) has no .* does not exist/,
    })
  }
  for (const platforms of [['linux/s390x', 'windows/amd64'], ['linux/s390x']]) {
    const foreign = await lab.push('real/foreign', assembleImage([], { platforms }))
    await assertRefused(lab, ['install', '--system', foreign], { code: 'platform', message: /linux\/s390x/ })
  }
})

test('what answers is no registry, or falls silent', async () => {
  await refusedBy((_, response) => void response.end('<html>Welcome</html>'), 'manifest', /JSON/)
  await refusedBy(() => {}, 'registry', /fell silent.*after 2 attempts/)
  await using server = await serveSockets((socket) => void socket.end('220 mail.example ESMTP\r\n'))
  await assertRefused(lab, ['install', '--system', `${server.host}/team/app`], {
    code: 'registry',
    message: /does not speak HTTP|was cut/,
  })
})

test('a manifest that is no JSON, lacks what it needs, or has 100 MB', async () => {
  const documents: [Buffer, string, RegExp][] = [
    [Buffer.from('{"schemaVersion": 2,'), 'manifest', /the manifest is not JSON/],
    [Buffer.from('{"schemaVersion": 2}'), 'manifest', /the manifest is malformed: config/],
    [Buffer.alloc(100 * 1024 * 1024, ' '), 'limit', /the manifest of .* has more than \d+ bytes/],
  ]
  for (const [manifest, code, message] of documents) await refusedBy(registryOfOne(image, manifest), code, message)
  const endless: Handler = (_, response) => {
    const send = (): void => void response.write(Buffer.alloc(65_536, ' '), (error) => error ?? send())
    send()
  }
  await refusedBy(endless, 'limit', /more than \d+ bytes/)
})

test('what is not an image: a chart, an attestation, a signature, a manifest of schema 1', async () => {
  const descriptor = (mediaType: string) => ({ mediaType, digest: sha256(Buffer.from('{}')), size: 2 })
  const configuration = 'application/vnd.oci.image.config.v1+json'
  const things: [object, RegExp][] = [
    [{ config: descriptor('application/vnd.cncf.helm.config.v1+json') }, /a Helm chart/],
    [{ config: descriptor(configuration), layers: [descriptor('application/vnd.in-toto+json')] }, /attestation/],
    [
      {
        config: descriptor(configuration),
        layers: [descriptor('application/vnd.dev.cosign.simplesigning.v1+json')],
      },
      /signature/,
    ],
    [{ schemaVersion: 1, name: 'team/app', fsLayers: [], history: [] }, /schema 1/],
  ]
  for (const [thing, message] of things) {
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [], ...thing }))
    await refusedBy(registryOfOne(image, manifest), 'not-an-image', message)
  }
})

test('a digest, a size or a diff id that lies', async () => {
  const [layer] = layersOf(image)
  assert.ok(layer !== undefined)
  const bytes = image.blobs.get(layer.digest) ?? Buffer.alloc(0)
  const other = Buffer.from(bytes)
  other[other.length - 5] = (other[other.length - 5] ?? 0) ^ 1
  await refusedBy(registryOfOne(withBlob(image, layer.digest, other)), 'digest', /has the digest sha256:/)
  const shorter = withBlob(image, layer.digest, bytes.subarray(1))
  await refusedBy(registryOfOne(shorter), 'digest', /bytes/)
  const larger = withManifest(image, ({ layers: [first], ...rest }) => ({
    ...rest,
    layers: [{ ...first, size: bytes.length + 1 }],
  }))
  await refusedBy(registryOfOne(larger), 'digest', /bytes/)
  const archive = await packLayer({ 'etc/file': 'text' })
  const lying = assembleImage([{ ...archive, diffId: sha256(Buffer.from('something else')) }])
  await refusedBy(registryOfOne(lying), 'digest', /has the diff id sha256:.*, not sha256:/)
  const id = image.imageIds[0] ?? ''
  const configuration = withBlob(image, id, Buffer.from(`${image.blobs.get(id)} `))
  await refusedBy(registryOfOne(configuration), 'digest', /configuration|bytes/)
})

test('a truncated gzip, zstd or tar, each with the digest that it should have', async () => {
  for (const compression of ['gzip', 'zstd'] as const) {
    const layer = await packLayer({ 'etc/file': 'text'.repeat(10_000) }, { compression })
    const half = layer.bytes.subarray(0, Math.floor(layer.bytes.length / 2))
    await refusedBy(registryOfOne(assembleImage([{ ...layer, bytes: half }])), 'layer', /truncated|ends/)
  }
  const { bytes } = await packLayer({ 'etc/file': 'text'.repeat(10_000) }, { compression: 'none' })
  const cut = layerOf(bytes.subarray(0, 20_000))
  await refusedBy(registryOfOne(assembleImage([cut])), 'layer', /truncated|ends/)
  await refusedBy(registryOfOne(assembleImage([layerOf(Buffer.alloc(2048, 'x'))])), 'layer', /./)
  const garbage = { ...layerOf(bytes), bytes: Buffer.alloc(2048, 'x') }
  await refusedBy(registryOfOne(assembleImage([garbage])), 'layer', /no tar header/)
})

test('a registry that goes away in the middle of a layer', async () => {
  const before = lab.files()
  const large = assembleImage([await packLayer({ blob: Buffer.alloc(8 * 1024 * 1024, 'x') }, { compression: 'none' })])
  const whole = registryOfOne(large)
  let isServing = false
  const server = await serve((request, response) => {
    if (!request.url?.endsWith(layersOf(large)[0]?.digest ?? '-')) return whole(request, response)
    response.setHeader('content-length', layersOf(large)[0]?.size ?? 0)
    response.write(Buffer.alloc(3_000_000, 'x'), () => {
      isServing = true
    })
  })
  const argv = ['forerun', 'install', '--system', `${server.host}/team/app`, '--json']
  const installing = lab.host.start(argv, { check: false })
  await until('the layer is under way', () => isServing)
  await server[Symbol.asyncDispose]()
  assertComplaint(await installing.finished, {
    code: 'registry',
    message: /refuses the connection, after 2 attempts|was cut, after 2 attempts/,
  })
  assert.deepEqual(changesSince(before, lab), [])
  assertNothingUnfinished(lab)
  // What was received waits for the next pull.
  const [kept = '', ...others] = (await lab.shell('find /var/lib/forerun/store -type f')).split('\n')
  assert.match(kept, /\/store\/partial\/sha256-[0-9a-f]{64}$/)
  assert.deepEqual(others, [])
  await lab.must('images', 'prune')
  assert.equal(await lab.shell('find /var/lib/forerun/store/partial -type f'), '')
})

interface LayerDescriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

interface Manifest {
  readonly layers: readonly LayerDescriptor[]
}

function manifestOf({ manifests }: LabImage): Manifest {
  return JSON.parse(String(manifests.at(-1)?.bytes))
}

function layersOf(image: LabImage): readonly LayerDescriptor[] {
  return manifestOf(image).layers
}

function withBlob(image: LabImage, digest: string, bytes: Buffer): LabImage {
  return { ...image, blobs: new Map([...image.blobs, [digest, bytes]]) }
}

function withManifest(image: LabImage, change: (manifest: Manifest) => object): LabImage {
  const bytes = Buffer.from(JSON.stringify(change(manifestOf(image))))
  return { ...image, manifests: [{ digest: sha256(bytes), mediaType: image.mediaType, bytes }] }
}

/** An address that was free a moment ago. */
async function closedServer(): Promise<{ host: string }> {
  const server = await serve(() => {})
  await server[Symbol.asyncDispose]()
  return { host: server.host }
}
