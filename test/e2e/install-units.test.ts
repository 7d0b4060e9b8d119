import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** What systemd does with the units of images, and what it tells of their containers. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost()
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; echo ready; sleep infinity & wait']

async function push(name: string, install: string, args = loop, service = '') {
  const { 'service.template': unit, ...exports } = serviceExports(args, { service })
  const own = unit.replace('WantedBy=multi-user.target', install)
  return lab.push(name, busyboxImage({ exports: { ...exports, 'service.template': own } }))
}

test('WantedBy, RequiredBy and Alias of a unit become links, and go with it', async () => {
  const image = await push('linked', 'WantedBy=basic.target\nRequiredBy=containerd.service\nAlias=$NAME-alias.service')
  await lab.must('install', image)
  const links = changesSince(untouched, lab).filter((line) => line.includes(' link '))
  assert.deepEqual(
    links.map((line) => line.split(' ')[1]),
    [
      '/etc/systemd/system/basic.target.wants/linked.service',
      '/etc/systemd/system/containerd.service.requires/linked.service',
      '/etc/systemd/system/linked-alias.service',
    ],
  )
  await lab.shell('systemctl start linked-alias.service')
  assert.equal(await lab.property('linked', 'ActiveState'), 'active')
})

test('a unit that requires another goes on running when that one is uninstalled', async () => {
  await lab.must('install', '--now', await push('needed', 'RequiredBy=containerd.service'))
  assert.match(await lab.property('containerd', 'Requires'), /\bneeded\.service\b/)
  const pid = await lab.property('containerd', 'MainPID')
  await lab.must('uninstall', 'needed')
  assert.deepEqual(
    [await lab.property('containerd', 'ActiveState'), await lab.property('containerd', 'MainPID')],
    ['active', pid],
  )
})

test('an image whose unit has no [Install] is installed, and does not start at boot', async () => {
  const unit = '[Service]\nExecStart=$EXEC_START\nWorkingDirectory=$DESTDIR\n'
  const exports = { ...serviceExports(loop), 'service.template': unit }
  await lab.must('install', await lab.push('static', busyboxImage({ exports })))
  assert.equal(await lab.property('static', 'UnitFileState'), 'static')
})

test('the start waits for the readiness that the container tells', async () => {
  // The program is the host's own; the socket is the one that the container was given.
  const script = 'trap "exit 0" TERM; sleep 1; systemd-notify --no-block --ready; sleep infinity & wait'
  const mounts = [{ destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] }]
  const service = 'Type=notify\nTimeoutStartSec=20'
  const image = busyboxImage({
    exports: serviceExports(['sh', '-c', script], { mounts, service }),
    layers: [{ usr: { type: 'directory' }, lib: { target: 'usr/lib' }, lib64: { target: 'usr/lib64' } }],
  })
  await lab.must('install', '--now', await lab.push('ready', image))
  const [starting, up] = [
    Number(await lab.property('ready', 'InactiveExitTimestampMonotonic')),
    Number(await lab.property('ready', 'ActiveEnterTimestampMonotonic')),
  ]
  assert.ok(up - starting > 1_000_000, `up after ${up - starting} µs`)
  assert.equal(await lab.property('ready', 'ActiveState'), 'active')
})

test('the container lives in the unit’s own control group, and the journal has its output under the unit', async () => {
  await lab.must('install', '--now', await push('grouped', 'WantedBy=multi-user.target'))
  const pid = JSON.parse(await running('grouped')).pid
  assert.equal(await lab.shell(`sed -n s/^0:://p /proc/${pid}/cgroup`), '/system.slice/grouped.service/payload')
  assert.equal(await lab.property('grouped', 'ControlGroup'), '/system.slice/grouped.service')
  assert.equal(await lab.property('grouped', 'Delegate'), 'yes')
  assert.match(await lab.shell('systemctl status --no-pager grouped'), /sleep infinity/)
  await until('ready', async () => (await lab.shell('journalctl -u grouped -o cat --no-pager')).includes('\nready'))
})

test('systemctl kill reaches the container, and systemd starts it again', async () => {
  await lab.must('install', '--now', await push('killed', 'WantedBy=multi-user.target'))
  const { pid } = JSON.parse(await running('killed'))
  await lab.shell('systemctl kill --signal=KILL killed')
  await until('another one runs', async () => {
    const { stdout } = await lab.host.exec(['runc', 'state', 'killed'], { check: false })
    return stdout !== '' && JSON.parse(stdout).status === 'running' && JSON.parse(stdout).pid !== pid
  })
})

test('the state that a killed runtime leaves does not stop the next start', async () => {
  await lab.must('install', '--now', await push('stale', 'WantedBy=multi-user.target', loop, 'Restart=no'))
  const { pid } = JSON.parse(await running('stale'))
  // A runtime that stands still neither removes its state when the container dies, nor ends before it.
  const main = await lab.property('stale', 'MainPID')
  await lab.shell(`kill -STOP ${main} && kill -KILL ${pid} && kill -KILL ${main}`)
  await until('it has ended', async () => (await lab.property('stale', 'ActiveState')) === 'failed')
  assert.match(await lab.shell('runc list'), /^stale\b.*stopped/m)
  await lab.must('run', 'stale')
  assert.notEqual(JSON.parse(await running('stale')).pid, pid)
})

test('a unit waits for the mounts of its checkout, and for no network', async () => {
  await lab.must('install', await push('mounted', 'WantedBy=multi-user.target'))
  assert.equal(await lab.property('mounted', 'RequiresMountsFor'), '/var/lib/forerun/containers/mounted.0')
  const wants = await lab.property('mounted', 'Wants')
  assert.doesNotMatch(`${wants} ${await lab.property('mounted', 'After')}`, /network-online/)
})

/** The runtime's state of a container, once it runs. */
async function running(name: string): Promise<string> {
  await lab.inside(name, 'true')
  return lab.shell(`runc state ${name}`)
}
