import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { before, test } from 'node:test'
import { ensurePackages } from '../../../lab/packages.ts'
import { makeCertificates } from '../certificates.ts'
import { treeOf } from '../containers-files.ts'
import { registryOf, testImage } from '../image.ts'
import { amd64, collect, reading } from '../reading.ts'
import { serve, serveSockets } from '../server.ts'

const image = testImage()
const genuine = registryOf({ 1: image.manifest }, image)
let certificates: ReturnType<typeof makeCertificates>

before(async () => {
  await ensurePackages(['openssl'])
  certificates = makeCertificates()
})

interface TestProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** `CONNECT registry.example:443`, `GET http://…`, with what was said of who asks. */
  readonly asked: string[]
}

/** A proxy that takes every host to be `backend`; `authorization` is what it wants to be told. */
async function startProxy(
  backend: string,
  {
    tls,
    authorization,
    refusal,
  }: { tls?: { key: string; cert: string }; authorization?: string; refusal?: string } = {},
): Promise<TestProxy> {
  const asked: string[] = []
  const sockets = new Set<Duplex>()
  const [hostname = '', port = ''] = backend.split(':')
  const note = ({ method, url, headers }: IncomingMessage) =>
    asked.push([method, url, headers['proxy-authorization'] ?? ''].join(' ').trim())
  const isRefused = ({ headers }: IncomingMessage) =>
    authorization !== undefined && headers['proxy-authorization'] !== authorization
  const forward = (incoming: IncomingMessage, response: ServerResponse) => {
    note(incoming)
    if (isRefused(incoming)) return void response.writeHead(407).end('who?')
    const { pathname } = new URL(incoming.url ?? '')
    request({ hostname, port, path: pathname, headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers)
      answer.pipe(response)
    }).end()
  }
  const server = tls === undefined ? createServer(forward) : createTlsServer(tls, forward)
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.on('connect', (incoming: IncomingMessage, socket: Duplex) => {
    note(incoming)
    const status = isRefused(incoming) ? '407 Proxy Authentication Required' : refusal
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status}\r\n\r\n`)
    const through = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(through).pipe(socket)
    })
    sockets.add(through)
    for (const end of [socket, through]) end.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The registry is at `registry.example`, which only the proxy knows. */
function behindProxy(environment: Record<string, string>, options: Parameters<typeof reading>[1] = {}) {
  const tree = treeOf({ 'etc/containers/certs.d/registry.example/ca.crt': certificates.authority })
  return {
    ...reading('registry.example', { ...tree.place, environment, ...options }),
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  }
}

test('a registry is reached through the tunnel of a proxy, with its own TLS settings and without telling it who asks', async () => {
  await using server = await serve(genuine, certificates.otherHost)
  const authorization = `Basic ${Buffer.from('ann:s p').toString('base64')}`
  await using proxy = await startProxy(server.host, { authorization })
  using at = behindProxy({ HTTPS_PROXY: `http://ann:s%20p@${proxy.host}` })
  await at.source.manifest(amd64, at.context)
  assert.ok((await collect(at.source, image.layerDescriptor, at.context)).equals(image.layer))
  assert.deepEqual(new Set(proxy.asked), new Set([`CONNECT registry.example:443 ${authorization}`]))
  assert.ok(server.requests.length > 0)
  assert.ok(server.requests.every(({ headers }) => headers['proxy-authorization'] === undefined))
  assert.equal(server.requests[0]?.headers.host, 'registry.example')
  await at.source[Symbol.asyncDispose]()
})

test('the certificate of a registry is checked behind a proxy, too', async () => {
  await using server = await serve(genuine, certificates.good)
  await using proxy = await startProxy(server.host)
  using at = behindProxy({ HTTPS_PROXY: proxy.host })
  await assert.rejects(at.source.manifest(amd64, at.context), {
    message: 'the certificate of registry.example is made for another host',
  })
})

test('a proxy may be spoken to over TLS', async () => {
  await using server = await serve(genuine, certificates.otherHost)
  await using proxy = await startProxy(server.host, { tls: certificates.good })
  using at = behindProxy({ HTTPS_PROXY: `https://${proxy.host}` })
  await at.source.manifest(amd64, at.context)
  assert.match(proxy.asked[0] ?? '', /^CONNECT registry\.example:443/)
  await at.source[Symbol.asyncDispose]()

  await using expired = await startProxy(server.host, { tls: certificates.expired })
  using refused = behindProxy({ HTTPS_PROXY: `https://${expired.host}` })
  await assert.rejects(refused.source.manifest(amd64, refused.context), {
    message: `the proxy https://${expired.host}: the certificate of ${expired.host} has expired`,
    hint: /HTTPS_PROXY/,
  })
})

test('a registry without TLS is asked through the proxy by its whole address', async () => {
  await using server = await serve(genuine)
  await using proxy = await startProxy(server.host, { authorization: 'Basic YW5uOg==' })
  const address = `http://ann@${proxy.host}`
  using at = behindProxy({ HTTPS_PROXY: address, HTTP_PROXY: address }, { tlsVerify: false })
  await at.source.manifest(amd64, at.context)
  assert.ok(proxy.asked.includes('GET http://registry.example/v2/team/app/manifests/1 Basic YW5uOg=='))
  assert.equal(server.requests.at(-1)?.headers.host, 'registry.example')
  await at.source[Symbol.asyncDispose]()

  using stranger = behindProxy({ HTTP_PROXY: proxy.host, HTTPS_PROXY: proxy.host }, { tlsVerify: false })
  await assert.rejects(stranger.source.manifest(amd64, stranger.context), {
    code: 'unauthorized',
    message: /wants a user and a password/,
  })
})

test('a proxy that refuses is named with what it says, and its password never', async () => {
  await using server = await serve(genuine, certificates.otherHost)
  await using strict = await startProxy(server.host, { authorization: 'Basic eDp5' })
  await using forbidding = await startProxy(server.host, { refusal: '403 Forbidden' })
  await using failing = await startProxy(server.host, { refusal: '502 Bad Gateway' })
  await using hangingUp = await serveSockets((socket) => void socket.destroy())
  await using babbling = await serveSockets((socket) => void socket.end('SSH-2.0-x\r\n'))
  await using silent = await serveSockets(() => {})
  const gone = await serveSockets(() => {})
  await gone[Symbol.asyncDispose]()
  const cases: [host: string, code: string, message: RegExp, attempts: number][] = [
    [strict.host, 'unauthorized', /does not accept the user and password/, 1],
    [forbidding.host, 'registry', /does not let through to registry\.example:443 \(403 Forbidden\)$/, 1],
    [failing.host, 'registry', /\(502 Bad Gateway\), after 2 attempts$/, 2],
    [hangingUp.host, 'registry', /was cut, after 2 attempts$/, 2],
    [babbling.host, 'registry', /does not speak HTTP$/, 1],
    [silent.host, 'registry', /it took the request and fell silent, after 2 attempts$/, 2],
    [gone.host, 'registry', /refuses the connection, after 2 attempts$/, 2],
  ]
  for (const [host, code, message, attempts] of cases) {
    using at = behindProxy({ HTTPS_PROXY: `http://ann:secret@${host}` }, { retries: 1, timeouts: { connect: 200 } })
    const check = (error: Error & { code: string }) => {
      assert.equal(error.code, code, error.message)
      assert.match(error.message, message)
      assert.ok(error.message.includes(`the proxy http://${host}`), error.message)
      return true
    }
    await assert.rejects(at.source.manifest(amd64, at.context), check)
    assert.equal(at.retries().length, attempts - 1)
    assert.doesNotMatch(JSON.stringify(at.events), /secret/)
    await at.source[Symbol.asyncDispose]()
  }
})

test('registries.conf names a proxy for a place, which goes before that of the environment', async () => {
  await using server = await serve(genuine, certificates.otherHost)
  await using proxy = await startProxy(server.host)
  using tree = treeOf({
    'etc/containers/certs.d/registry.example/ca.crt': certificates.authority,
    'etc/containers/registries.conf': `[[registry]]\nlocation = "registry.example"\nproxy = "http://${proxy.host}"\n`,
  })
  const environment = { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' }
  const { source, context } = reading('registry.example', { ...tree.place, environment })
  await source.manifest(amd64, context)
  assert.ok(proxy.asked.length > 0)
  await source[Symbol.asyncDispose]()
})

test('a SOCKS proxy is told the name of the host, and user and password where it wants them', async () => {
  await using server = await serve(genuine, certificates.otherHost)
  for (const user of ['', 'ann:secret@']) {
    const heard: Buffer[] = []
    await using proxy = await serveSockets((socket) => answerSocks(socket, { heard, backend: server.host }))
    using at = behindProxy({ HTTPS_PROXY: `socks5://${user}${proxy.host}` })
    await at.source.manifest(amd64, at.context)
    const name = Buffer.concat([Buffer.of(5, 1, 0, 3, 16), Buffer.from('registry.example'), Buffer.of(1, 187)])
    const known = Buffer.from('\x01\x03ann\x06secret')
    assert.deepEqual(
      heard.slice(0, user === '' ? 2 : 3),
      user === '' ? [Buffer.of(5, 1, 0), name] : [Buffer.of(5, 1, 2), known, name],
    )
    await at.source[Symbol.asyncDispose]()
  }
  await using refusing = await serveSockets((socket) =>
    answerSocks(socket, { heard: [], backend: server.host, reply: 2 }),
  )
  using at = behindProxy({ HTTPS_PROXY: `socks5://${refusing.host}` }, { retries: 0 })
  await assert.rejects(at.source.manifest(amd64, at.context), {
    code: 'registry',
    message: `the proxy socks5://${refusing.host}: its rules forbid the connection`,
  })
})

/** Takes each chunk to be a message, as it is when the client waits for the answers. */
function answerSocks(
  socket: Socket,
  { heard, backend, reply = 0 }: { heard: Buffer[]; backend: string; reply?: number },
): void {
  const [hostname = '', port = ''] = backend.split(':')
  const through: Socket[] = []
  socket.on('error', () => {})
  socket.on('close', () => through[0]?.destroy())
  socket.on('data', (message: Buffer) => {
    if (through[0] !== undefined) return void through[0].write(message)
    heard.push(message)
    if (message[0] === 1) socket.write(Buffer.of(1, 0))
    else if (message.length === 3) socket.write(Buffer.of(5, message[2] ?? 0))
    else {
      // In two pieces, and with an address of each kind that there is.
      socket.write(Buffer.of(5, reply, 0, 1))
      if (reply !== 0) return
      through[0] = connect(Number(port), hostname)
      through[0].on('error', () => {})
      through[0].once('connect', () => socket.write(Buffer.of(0, 0, 0, 0, 0, 0)))
      through[0].pipe(socket)
    }
  })
}

test('settings that make no sense are told when they are needed, for an address with TLS and one without', async () => {
  for (const environment of [{ HTTPS_PROXY: 'ftp://ann:secret@proxy' }, { HTTP_PROXY: 'ftp://ann:secret@proxy' }]) {
    await using server = await serve(genuine)
    // Only a proxy knows where registry.example is; that it has no TLS is found out there.
    await using proxy = await startProxy(server.host)
    const working = { HTTPS_PROXY: proxy.host, ...environment }
    using at = behindProxy(working, { tlsVerify: false })
    const [name] = Object.keys(environment)
    await assert.rejects(at.source.manifest(amd64, at.context), {
      code: 'settings',
      message: `${name} is not the address of a proxy`,
    })
    await at.source[Symbol.asyncDispose]()
  }
  using tree = treeOf({ 'etc/containers/certs.d/registry.example/ca.crt': 'nonsense' })
  const { source, context } = reading('registry.example', tree.place)
  await assert.rejects(source.manifest(amd64, context), { code: 'settings', message: /ca\.crt holds no certificate/ })
})

test('a host that is an IPv6 address is asked for in brackets', async () => {
  await using server = await serve(genuine)
  await using proxy = await startProxy(server.host, { refusal: '403 Forbidden' })
  const { source, context } = reading('[fd00::7]:5000', { environment: { HTTPS_PROXY: proxy.host } })
  await assert.rejects(source.manifest(amd64, context), {
    message: /let through to \[fd00::7\]:5000 \(403 Forbidden\)/,
  })
  assert.deepEqual(proxy.asked, ['CONNECT [fd00::7]:5000'])
})
