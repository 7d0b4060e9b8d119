import assert from 'node:assert/strict'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import type { ForerunError } from '../../../../src/errors.ts'
import { readHostCertificates } from '../../../../src/source/registry/config/host-certificates.ts'
import { ensurePackages } from '../../../lab/packages.ts'
import { makeCertificates } from '../certificates.ts'
import { treeOf } from '../containers-files.ts'
import { registryOf, testImage } from '../image.ts'
import { amd64, reading } from '../reading.ts'
import { type Handler, serve } from '../server.ts'

const image = testImage()
const genuine = registryOf({ 1: image.manifest }, image)
let certificates: ReturnType<typeof makeCertificates>

before(async () => {
  await ensurePackages(['openssl'])
  certificates = makeCertificates()
})

test('the first folder for the host is read, and no other', () => {
  const folders = [
    'root/.config/containers/certs.d',
    'etc/containers/certs.d',
    'usr/share/containers/certs.d',
    'etc/docker/certs.d',
  ]
  for (const first of folders.keys()) {
    using tree = treeOf(
      Object.fromEntries(folders.slice(first).map((folder) => [`${folder}/r.example:5000/a.crt`, 'x'])),
    )
    const file = join(tree.root, folders[first] ?? '', 'r.example:5000/a.crt')
    assert.throws(() => readHostCertificates('r.example:5000', tree.place), {
      message: `${file} holds no certificate in PEM`,
    })
    assert.deepEqual(readHostCertificates('r.example', tree.place), { authorities: [], clients: [] })
  }
})

test('authorities and pairs of client certificates are taken, other files left', () => {
  const { authority, good } = certificates
  using tree = treeOf({
    'etc/containers/certs.d/r.example/ca.crt': `# two of them\n${authority}${authority}`,
    'etc/containers/certs.d/r.example/client.cert': good.cert,
    'etc/containers/certs.d/r.example/client.key': good.key,
    'etc/containers/certs.d/r.example/README': 'x',
    'given/client.cert': good.cert,
    'given/client.key': good.key,
  })
  const found = readHostCertificates('r.example', tree.place)
  assert.equal(found.authorities.length, 1)
  assert.deepEqual(found.clients, [good])
  assert.deepEqual(readHostCertificates('r.example', { certDir: tree.path('given'), ...tree.place }).authorities, [])
})

test('a link to an authority that is gone is passed over, one to half a client is not', () => {
  const { authority, good } = certificates
  using tree = treeOf({ 'etc/containers/certs.d/r.example/ca.crt': authority })
  const folder = tree.path('etc/containers/certs.d/r.example')
  symlinkSync('gone', join(folder, 'old.crt'))
  assert.deepEqual(readHostCertificates('r.example', tree.place).authorities, [authority])
  writeFileSync(join(folder, 'client.cert'), good.cert)
  symlinkSync('gone', join(folder, 'client.key'))
  assert.throws(() => readHostCertificates('r.example', tree.place), {
    code: 'settings',
    message: /client\.key cannot be read/,
  })
})

test('a file that is missing, malformed or of another pair is named', () => {
  const { good, otherHost } = certificates
  const cases: [files: Record<string, string>, message: RegExp][] = [
    [{ 'a.cert': good.cert }, /a\.cert is there, but a\.key is not/],
    [{ 'a.key': good.key }, /a\.key is there, but a\.cert is not/],
    [{ 'a.cert': good.cert, 'a.key': otherHost.key }, /a\.key is not the key of .*a\.cert/],
    [{ 'a.cert': good.cert, 'a.key': 'x' }, /a\.key does not hold a private key/],
    [{ 'a.crt': 'x' }, /a\.crt holds no certificate/],
    [{ 'a.crt': good.cert.replace(/\n[^\n]+\n-----END/, '\n-----END') }, /a\.crt does not hold certificates/],
  ]
  for (const [files, message] of cases) {
    using tree = treeOf(files)
    assert.throws(() => readHostCertificates('r', { certDir: tree.root }), {
      code: 'settings',
      message,
      hint: /./,
    })
  }
  assert.throws(() => readHostCertificates('r', { certDir: '/nonexistent' }), {
    code: 'settings',
    message: /\/nonexistent cannot be read/,
  })
})

test("a registry that wants a client's certificate gets it, and a host that it redirects to does not", async () => {
  const { authority, good } = certificates
  const shown: [host: string, name: string | undefined][] = []
  const noting =
    (handler: Handler): Handler =>
    (request, response) => {
      const { socket } = request as unknown as { socket: { getPeerCertificate: () => { subject?: { CN: string } } } }
      shown.push([request.headers.host ?? '', socket.getPeerCertificate().subject?.CN])
      handler(request, response)
    }
  const asking = { ...good, ca: authority, requestCert: true, rejectUnauthorized: false }
  await using storage = await serve(
    noting((_, response) => void response.end(image.manifest)),
    asking,
  )
  const redirecting: Handler = (request, response) => {
    if (request.url?.includes('/manifests/')) response.writeHead(307, { location: `${storage.origin}/x` }).end()
    else genuine(request, response)
  }
  await using server = await serve(noting(redirecting), { ...asking, rejectUnauthorized: true })
  using tree = treeOf({
    [`etc/containers/certs.d/${server.host}/ca.crt`]: authority,
    [`etc/containers/certs.d/${server.host}/client.cert`]: good.cert,
    [`etc/containers/certs.d/${server.host}/client.key`]: good.key,
  })
  const { source, context } = reading(server.host, tree.place)
  await source.manifest(amd64, context)
  assert.ok(shown.some(([host, name]) => host === server.host && name === 'good'))
  assert.deepEqual(
    shown.filter(([host]) => host === storage.host),
    [[storage.host, undefined]],
  )
  await source[Symbol.asyncDispose]()

  const anonymous = reading(server.host, {
    certDir: treeFolder(tree.root, server.host),
    tlsVerify: false,
    root: '/nonexistent',
  })
  await anonymous.source.manifest(amd64, anonymous.context)
  await anonymous.source[Symbol.asyncDispose]()
})

for (const tlsVerify of [undefined, false] as const) {
  test(`without the certificate that a registry wants, nothing is sent in the clear (--tls-verify ${tlsVerify})`, async () => {
    const { authority, good } = certificates
    const wanting = { ...good, ca: authority, requestCert: true, rejectUnauthorized: true }
    await using registry = await serve(genuine, wanting)
    using tree = treeOf({ [`etc/containers/certs.d/${registry.host}/ca.crt`]: authority })
    const { source, context } = reading(registry.host, { ...tree.place, tlsVerify })
    await assert.rejects(source.manifest(amd64, context), (error: ForerunError) => {
      assert.match(error.message, /ended the TLS connection before it answered|TLS with .* failed: .*alert/)
      assert.match(error.hint ?? '', /NAME\.cert and NAME\.key into \/etc\/containers\/certs\.d/)
      return true
    })
    assert.equal(registry.requests.length, 0)
    await source[Symbol.asyncDispose]()
  })
}

function treeFolder(root: string, host: string): string {
  return join(root, 'etc/containers/certs.d', host)
}
