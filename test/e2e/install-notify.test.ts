import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { freePort } from '../lab/free-port.ts'
import type { LabImage } from '../lab/image.ts'
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
  assert.equal(await lab.property('etcd', 'MainPID'), await lab.shell('pidof etcd'))
  const command = `etcdctl --endpoints http://127.0.0.1:${client} endpoint health`
  assert.match(await lab.shell(`${command} 2>&1`), /is healthy/)
})

for (const [kind, service, result] of [
  ['watched', 'WatchdogSec=60', 'exit-code'],
  ['heard', 'NotifyAccess=main', 'exit-code'],
  ['notifying', 'Type=notify', 'protocol'],
] as const) {
  test(`a ${kind} service that ends without a word ends for systemd, too`, async () => {
    const exports = serviceExports(['sh', '-c', 'exit 7'], { service: `${service}\nRestart=no` })
    await lab.must('install', await lab.push(kind, busyboxImage({ exports })))
    await lab.shell(`systemctl start --no-block ${kind}`)
    await until('it has failed', async () => (await lab.property(kind, 'ActiveState')) === 'failed')
    assert.equal(await lab.property(kind, 'Result'), result)
  })
}

test('readiness told by a program that ends at once arrives at every start', async () => {
  const script = 'trap "exit 0" TERM; systemd-notify --no-block --ready; sleep infinity & wait'
  await lab.must('install', await lab.push('brief', notifyImage(script)))
  for (let start = 1; start <= 8; start++) await lab.shell('systemctl reset-failed brief; systemctl restart brief')
  const main = await lab.property('brief', 'MainPID')
  assert.equal(JSON.parse(await lab.shell('runc state brief')).pid, Number(main))
  await lab.must('stop', 'brief')
  assert.equal(await lab.property('brief', 'Result'), 'success')
  assert.doesNotMatch(await lab.shell('runc list'), /^brief\b/m)
})

test('a container that sees /run of the host tells its readiness at every start, and leaves no mount there', async () => {
  const run = { destination: '/run', type: 'bind', source: '/run', options: ['rbind', 'rshared', 'rw'] }
  const script = 'trap "exit 0" TERM; systemd-notify --ready --status=here; sleep infinity & wait'
  await lab.must('install', await lab.push('sharing', notifyImage(script, [run])))
  const before = await mountsBelowRun()
  for (const _start of ['first', 'second']) {
    await lab.must('run', 'sharing')
    assert.equal(await lab.property('sharing', 'StatusText'), 'here')
    await lab.must('stop', 'sharing')
  }
  assert.equal(await mountsBelowRun(), before)
})

/** A shell of busybox, with `systemd-notify` of the host. */
function notifyImage(script: string, mounts: readonly object[] = []): Promise<LabImage> {
  const usr = { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] }
  const service = 'Type=notify\nTimeoutStartSec=20'
  return busyboxImage({
    exports: serviceExports(['sh', '-c', script], { mounts: [usr, ...mounts], service }),
    layers: [{ usr: { type: 'directory' }, lib: { target: 'usr/lib' }, lib64: { target: 'usr/lib64' } }],
  })
}

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
