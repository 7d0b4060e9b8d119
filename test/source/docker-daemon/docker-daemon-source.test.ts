import assert from 'node:assert/strict'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { dockerDaemonSource } from '../../../src/source/docker-daemon/docker-daemon-source.ts'
import { packLayer } from '../../lab/layer.ts'
import { savedFiles } from '../docker-archive/saved.ts'
import { context, folder, here, readWhole, refused } from '../reading-files.ts'

const layers = [
  await packLayer({ a: 'one' }, { compression: 'none' }),
  await packLayer({ b: Buffer.alloc(2_000_000, 'b') }, { compression: 'none' }),
]
const id = `sha256:${'ab'.repeat(32)}`
const names = ['etcd:3.5', 'quay.io/coreos/etcd:3.5']

async function saved(tags: readonly string[] | null = names): Promise<Buffer> {
  return (await packLayer(savedFiles(layers, { names: tags }), { compression: 'none' })).bytes
}

type Answer = (request: 'json' | 'get', response: ServerResponse) => void

/** A daemon on a socket of its own, and what it was asked. */
async function daemon(t: TestContext, answer: Answer): Promise<{ address: string; asked: string[]; server: Server }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request.url?.endsWith('/json') ? 'json' : 'get', response)
  })
  const path = join(folder(t), 'docker.sock')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { address: `unix://${path}`, asked, server }
}

function serving(archive: Buffer, tags: readonly string[] | null = names): Answer {
  return (request, response) =>
    void response.end(request === 'json' ? JSON.stringify({ Id: id, RepoTags: tags }) : archive)
}

test('an image is streamed twice: to learn what it is, and for its layers', async (t) => {
  const { address, asked } = await daemon(t, serving(await saved()))
  const { manifest, reference } = await readWhole(dockerDaemonSource({ image: 'etcd:3.5' }, { address }))
  assert.deepEqual(
    manifest.layers.map(({ digest }) => digest),
    layers.map(({ diffId }) => diffId),
  )
  assert.equal(reference, 'docker.io/library/etcd:3.5')
  assert.deepEqual(
    asked,
    ['json', 'get', 'get'].map((end) => `/images/etcd:3.5/${end}`),
  )
})

test('an image is stored under the name that was asked for, or for an id under its first', async (t) => {
  const { address } = await daemon(t, serving(await saved(null)))
  const nameless = await daemon(t, serving(await saved(null), null))
  const stored: [string, string, string][] = [
    [address, 'quay.io/coreos/etcd:3.5', 'quay.io/coreos/etcd:3.5'],
    [address, `etcd@${id}`, `docker.io/library/etcd@${id}`],
    [address, id, 'docker.io/library/etcd:3.5'],
    [address, 'abababababab', 'docker.io/library/etcd:3.5'],
    [nameless.address, id, 'localhost/abababababab:latest'],
    [nameless.address, 'abab', 'localhost/abab:latest'],
    [nameless.address, 'cafe', 'docker.io/library/cafe:latest'],
  ]
  for (const [daemonAddress, image, reference] of stored) {
    assert.equal((await readWhole(dockerDaemonSource({ image }, { address: daemonAddress }))).reference, reference)
  }
})

test('a daemon over TCP is reached, and one that wants TLS is refused', async (t) => {
  const server = createServer((request, response) => {
    serving(archive)(request.url?.endsWith('/json') ? 'json' : 'get', response)
  })
  const archive = await saved()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const bound = server.address()
  assert.ok(typeof bound === 'object' && bound !== null)
  const address = `tcp://127.0.0.1:${bound.port}`
  await readWhole(dockerDaemonSource({ image: 'etcd:3.5' }, { address }))
  process.env.DOCKER_TLS_VERIFY = '1'
  t.after(() => {
    delete process.env.DOCKER_TLS_VERIFY
  })
  assert.throws(() => dockerDaemonSource({ image: 'etcd' }, { address }), { code: 'archive', message: /wants TLS/ })
})

test('addresses and names that cannot be are refused', () => {
  for (const address of ['ssh://host', 'npipe:////./pipe/docker', 'unix://', 'host:2375', 'tcp://']) {
    assert.throws(() => dockerDaemonSource({ image: 'etcd' }, { address }), { code: 'archive', message: /DOCKER_HOST/ })
  }
  for (const image of ['../containers', 'a b', 'a?b', 'a//b', 'a\r\nb', '']) {
    assert.throws(() => dockerDaemonSource({ image }), { code: 'reference' })
  }
})

test('no daemon, no image and a refusal are told apart', async (t) => {
  const source = (address: string) => readWhole(dockerDaemonSource({ image: 'etcd' }, { address }))
  const nowhere = `unix://${join(folder(t), 'docker.sock')}`
  await refused(source(nowhere), { code: 'archive', message: /does not run/, path: nowhere })
  await refused(source('tcp://127.0.0.1:1'), { code: 'archive', message: /does not run/ })
  const missing = await daemon(t, (_, response) => {
    response.writeHead(404).end('{"message":"No such image: etcd:latest"}')
  })
  await refused(source(missing.address), { code: 'image-not-found', message: /No such image: etcd:latest$/ })
  const broken = await daemon(t, (_, response) => void response.writeHead(500).end('<html>'))
  await refused(source(broken.address), { code: 'archive', message: /refused: status 500/ })
  const rubbish = await daemon(t, (_, response) => void response.end('hello'))
  await refused(source(rubbish.address), { code: 'manifest', message: /daemon's answer about 'etcd' is not JSON/ })
  const endless = await daemon(t, (_, response) => {
    response.write(Buffer.alloc(6_000_000, '['))
  })
  await refused(source(endless.address), { code: 'limit', message: /more than 4 MiB/ })
})

test('a daemon that refuses without end is not read to it', { timeout: 60_000 }, async (t) => {
  const { address } = await daemon(t, (_, response) => {
    response.writeHead(404)
    const more = (): unknown =>
      !response.destroyed && response.write(Buffer.alloc(65_536, 'x'), () => setImmediate(more))
    more()
  })
  await refused(readWhole(dockerDaemonSource({ image: 'etcd' }, { address })), {
    code: 'image-not-found',
    message: /has no such image: status 404$/,
  })
})

test('a daemon that breaks off or speaks no HTTP is one error', async (t) => {
  const archive = await saved()
  const cut = await daemon(t, (request, response) => {
    if (request === 'json') return serving(archive)(request, response)
    response.write(archive.subarray(0, 1_000_000), () => response.destroy())
  })
  const read = (address: string) => readWhole(dockerDaemonSource({ image: 'etcd' }, { address }))
  await refused(read(cut.address), { code: 'archive', message: /broke off/ })
  const short = await daemon(t, serving(archive.subarray(0, 1_000_000)))
  await refused(read(short.address), { code: 'archive', message: /ends in the midst/, path: 'docker-daemon:etcd' })
  const { address, server } = await daemon(t, () => {})
  server
    .removeAllListeners('connection')
    .on('connection', (socket: ReturnType<typeof connect>) => socket.end('SSH-2.0-x\r\n'))
  await refused(read(address), { code: 'archive', message: /does not speak HTTP/ })
})

test('an image that is another one the second time is told', async (t) => {
  const other = (await packLayer(savedFiles(layers.toReversed(), { names }), { compression: 'none' })).bytes
  const archive = await saved()
  let times = 0
  const { address } = await daemon(t, (request, response) => {
    serving(times++ < 2 ? archive : other)(request, response)
  })
  await refused(readWhole(dockerDaemonSource({ image: 'etcd' }, { address })), { code: 'archive', message: /changed/ })
})

test('a signal ends the wait for a daemon that does not answer', async (t) => {
  const { address } = await daemon(t, () => {})
  await using source = dockerDaemonSource({ image: 'etcd' }, { address })
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 50)
  await assert.rejects(source.manifest(here, { ...context, signal: controller.signal }), { code: 'interrupted' })
})
