import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { ensurePackages } from '../../../lab/packages.ts'
import { makeCertificates } from '../certificates.ts'
import { treeOf } from '../containers-files.ts'
import { registryOf, testImage } from '../image.ts'
import { amd64, reading } from '../reading.ts'
import { serve, serveSockets } from '../server.ts'

const image = testImage()
const genuine = registryOf({ 1: image.manifest }, image)
let certificates: ReturnType<typeof makeCertificates>

before(async () => {
  await ensurePackages(['openssl'])
  certificates = makeCertificates()
})

function trustOf(host: string, authority: string | undefined) {
  return treeOf(authority === undefined ? {} : { [`etc/containers/certs.d/${host}/ca.crt`]: authority })
}

test('a registry with a certificate of a trusted authority is read over TLS', async () => {
  await using server = await serve(genuine, certificates.good)
  for (const tlsVerify of [{}, { tlsVerify: true }]) {
    using trusting = trustOf(server.host, certificates.authority)
    const { source, context, events } = reading(server.host, { ...trusting.place, ...tlsVerify })
    await source.manifest(amd64, context)
    assert.match(JSON.stringify(events), /https:/)
    assert.doesNotMatch(JSON.stringify(events), /http:/)
  }
})

test('a certificate that cannot be trusted is refused at once, saying why and what to do', async () => {
  const { authority, good, expired, otherHost, selfSigned } = certificates
  const faults = [
    [good, undefined, /authority that this system does not trust/],
    [expired, authority, /has expired/],
    [otherHost, authority, /made for another host/],
    [selfSigned, undefined, /is self-signed/],
  ] as const
  for (const [certificate, trusted, message] of faults) {
    await using server = await serve(genuine, certificate)
    using trusting = trustOf(server.host, trusted)
    const { source, context, retries } = reading(server.host, trusting.place)
    await assert.rejects(source.manifest(amd64, context), { code: 'registry', message, hint: /--tls-verify=false/ })
    assert.equal(retries().length, 0)
    assert.equal(server.requests.length, 0)
  }
})

test('without verification any certificate will do', async () => {
  for (const certificate of [certificates.expired, certificates.otherHost, certificates.selfSigned]) {
    await using server = await serve(genuine, certificate)
    const { source, context } = reading(server.host, { tlsVerify: false })
    await source.manifest(amd64, context)
  }
})

test('registries.conf says which places may have any certificate, and the command line goes before it', async () => {
  await using server = await serve(genuine, certificates.selfSigned)
  const table = `[[registry]]\nprefix = "registry.example"\nlocation = "${server.host}"\n`
  for (const [insecure, tlsVerify, isRead] of [
    [true, undefined, true],
    [false, undefined, false],
    [false, false, true],
    [true, true, false],
  ] as const) {
    using tree = treeOf({ 'etc/containers/registries.conf': `${table}insecure = ${insecure}\n` })
    const { source, context } = reading('registry.example', { ...tree.place, tlsVerify })
    if (isRead) await source.manifest(amd64, context)
    else await assert.rejects(source.manifest(amd64, context), { message: /is self-signed/ })
  }
})

test('plain HTTP is spoken on loopback and without verification, and nowhere else', async () => {
  await using server = await serve(genuine)
  for (const options of [{}, { tlsVerify: false }]) {
    const { source, context } = reading(server.host, options)
    await source.manifest(amd64, context)
  }
  const { source, context, retries } = reading(server.host, { tlsVerify: true })
  const before = server.requests.length
  await assert.rejects(source.manifest(amd64, context), { message: /does not speak TLS/, hint: /--tls-verify=false/ })
  assert.equal(server.requests.length, before)
  assert.equal(retries().length, 0)
})

test('a registry that hangs up on TLS is asked over plain HTTP', async () => {
  await using server = await serve(genuine)
  await using front = await serveSockets((socket) => {
    socket.once('data', (first) => {
      if (first[0] === 0x16) return void socket.destroy()
      const request = first.toString()
      void fetch(`${server.origin}${request.split(' ')[1]}`).then(async (answer) => {
        const body = Buffer.from(await answer.arrayBuffer())
        socket.write(`HTTP/1.1 ${answer.status} \r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`)
        socket.end(body)
      })
    })
  })
  const { source, context } = reading(front.host)
  await source.manifest(amd64, context)
})

test('nothing that began under TLS goes on without: neither a redirect nor a token', async () => {
  await using plain = await serve(genuine)
  for (const [headers, status, message] of [
    [{ location: `${plain.origin}/v2/team/app/manifests/1` }, 307, /redirects from TLS to plain HTTP/],
    [{ 'www-authenticate': `Bearer realm="${plain.origin}/token"` }, 401, /not safe/],
  ] as const) {
    await using server = await serve((_, response) => void response.writeHead(status, headers).end(), certificates.good)
    using trusting = trustOf(server.host, certificates.authority)
    const { source, context } = reading(server.host, trusting.place)
    await assert.rejects(source.manifest(amd64, context), { code: 'registry', message })
  }
  assert.equal(plain.requests.length, 0)
})

test('a registry that was never reached is not asked again', async () => {
  const closed = await serve(genuine)
  await closed[Symbol.asyncDispose]()
  for (const [host, message] of [
    [closed.host, /refuses the connection$/],
    ['registry.invalid', /there is no host registry\.invalid|no name server answers/],
  ] as const) {
    const { source, context } = reading(host, { retries: 1 })
    await assert.rejects(source.manifest(amd64, context), { code: 'registry', message, hint: /./ })
  }
  const { source, context, retries } = reading(closed.host)
  await assert.rejects(source.manifest(amd64, context))
  assert.equal(retries().length, 0)
})

test('a host that takes connections and says nothing is given up', async () => {
  await using mute = await serveSockets(() => {})
  const { source, context } = reading(mute.host, { timeouts: { connect: 200 }, retries: 1 })
  await assert.rejects(source.manifest(amd64, context), {
    code: 'registry',
    message: /connecting took too long, after 2 attempts/,
  })
})
