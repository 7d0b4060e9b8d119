import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { etcdImage } from '../lab/images.ts'
import { type InstalledHost, installedHost, until } from './installed-host.ts'

/** Services that tell systemd themselves how they are: what systemd knows of them, before they are ready and afterwards. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
})

after(() => lab[Symbol.asyncDispose]())

test('an etcd whose port is taken is started again every second, and is up once the port is free', async () => {
  const image = await lab.push('cluster/etcd', etcdImage())
  const [taken, client, peer] = [await listen(), await freePort(), await freePort()]
  const urls = [`ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:${client}`, `ETCD_LISTEN_PEER_URLS=http://127.0.0.1:${peer}`]
  const busy = urls.map((url) => url.replace(`:${peer}`, `:${portOf(taken)}`))
  try {
    await lab.must('install', ...busy.flatMap((url) => ['--set', url]), image)
    await lab.shell('systemctl start --no-block etcd')
    await until('it was started again', async () => Number(await lab.property('etcd', 'NRestarts')) >= 2, {
      seconds: 40,
    })
    assert.equal(await lab.property('etcd', 'ActiveState'), 'activating')
  } finally {
    taken.close()
  }
  await until('it is up', async () => (await lab.property('etcd', 'ActiveState')) === 'active', { seconds: 40 })
  const main = await lab.property('etcd', 'MainPID')
  assert.equal(await lab.shell(`basename $(readlink /proc/${main}/exe)`), 'runc')
  const command = `etcdctl --endpoints http://127.0.0.1:${client} endpoint health`
  assert.match(await lab.shell(`${command} 2>&1`), /is healthy/)
})

for (const [kind, service] of [
  ['watched', 'WatchdogSec=60'],
  ['heard', 'NotifyAccess=main'],
  ['notifying', 'Type=notify'],
] as const) {
  test(`a ${kind} service that ends without a word ends for systemd, too`, async () => {
    const exports = serviceExports(['sh', '-c', 'exit 7'], { service: `${service}\nRestart=no` })
    await lab.must('install', await lab.push(kind, busyboxImage({ exports })))
    await lab.shell(`systemctl start --no-block ${kind}`)
    await until('it has failed', async () => (await lab.property(kind, 'ActiveState')) === 'failed')
    assert.equal(await lab.property(kind, 'ExecMainStatus'), '7')
  })
}

test('a container that sees /run of the host tells its readiness at every start, and leaves no mount there', async () => {
  const mounts = [
    { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] },
    { destination: '/run', type: 'bind', source: '/run', options: ['rbind', 'rshared', 'rw'] },
  ]
  const script = 'trap "exit 0" TERM; systemd-notify --ready --status=here; sleep infinity & wait'
  const image = busyboxImage({
    exports: serviceExports(['sh', '-c', script], { mounts, service: 'Type=notify\nTimeoutStartSec=20' }),
    layers: [{ usr: { type: 'directory' }, lib: { target: 'usr/lib' }, lib64: { target: 'usr/lib64' } }],
  })
  await lab.must('install', await lab.push('sharing', image))
  const before = await mountsBelowRun()
  for (const _start of ['first', 'second']) {
    await lab.must('run', 'sharing')
    assert.equal(await lab.property('sharing', 'StatusText'), 'here')
    await lab.must('stop', 'sharing')
  }
  assert.equal(await mountsBelowRun(), before)
})

function mountsBelowRun(): Promise<string> {
  return lab.shell("cut -d' ' -f5 /proc/self/mountinfo | grep ^/run/ | sort")
}

async function listen(): Promise<Server> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function freePort(): Promise<number> {
  const server = await listen()
  const port = portOf(server)
  server.close()
  return port
}
