import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { InstallResult } from '../../src/operations/containers/install.ts'
import type { UninstallResult } from '../../src/operations/containers/uninstall.ts'
import { etcdImage } from '../lab/images.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** The life of one etcd on one host; each test goes on where the one before it ended. */
let lab: InstalledHost
let image: string
let untouched: Snapshot

before(async () => {
  lab = await installedHost()
  image = await lab.push('cluster/etcd', etcdImage())
  untouched = lab.files()
})

after(() => lab[Symbol.asyncDispose]())

test('etcd is installed and enabled, and not started', async () => {
  const { json } = await lab.must<InstallResult>('install', '--system', '--json', image)
  assert.ok(json.outcome === 'installed')
  assert.deepEqual(
    [json.name, json.image, json.service, json.started, json.files],
    ['etcd', `${image}:latest`, true, false, ['/usr/local/bin/etcdctl']],
  )
  assert.equal(await lab.shell('systemctl is-enabled etcd'), 'enabled')
  assert.equal(await lab.property('etcd', 'ActiveState'), 'inactive')
  assert.deepEqual(changedPaths(), [
    '+ /etc/systemd/system/etcd.service',
    '+ /etc/systemd/system/etcd.service.d',
    '+ /etc/systemd/system/etcd.service.d/10-forerun.conf',
    '+ /etc/systemd/system/multi-user.target.wants/etcd.service',
    '+ /etc/tmpfiles.d/etcd.conf',
    '+ /usr/local/bin/etcdctl',
    '+ /var/lib/etcd',
  ])
})

test('after a reboot without the registry etcd answers, before containerd starts, and no process of forerun or runc is left', async () => {
  await lab.registry.stop()
  await lab.host.reboot()
  assert.equal(await lab.property('etcd', 'ActiveState'), 'active')
  await lab.shell('etcdctl put /kept one')
  const [etcdUp, containerdStarting] = [
    Number(await lab.property('etcd', 'ActiveEnterTimestampMonotonic')),
    Number(await lab.property('containerd', 'InactiveExitTimestampMonotonic')),
  ]
  assert.ok(etcdUp > 0 && etcdUp <= containerdStarting, `etcd ${etcdUp}, containerd ${containerdStarting}`)
  assert.equal(await lab.property('containerd', 'ActiveState'), 'active')
  const programs = await lab.shell('for process in /proc/[0-9]*; do readlink $process/exe || true; done')
  assert.match(programs, /etcd/)
  assert.doesNotMatch(programs, /forerun|runc/)
})

test('a key is read back after the next reboot', async () => {
  await lab.host.reboot()
  assert.equal(await key(), 'one')
})

test('systemd starts etcd again when its process is killed', async () => {
  const killed = await lab.shell('pidof etcd')
  await lab.shell(`kill -KILL ${killed}`)
  await until('another etcd answers', async () => {
    const pid = await lab.shell('pidof etcd || true')
    return pid !== '' && pid !== killed && (await lab.property('etcd', 'ActiveState')) === 'active'
  })
  assert.equal(await key(), 'one')
  assert.equal(await lab.property('etcd', 'NRestarts'), '1')
})

test('a host that lost power without a shutdown has its etcd and its key again', async () => {
  await lab.shell('etcdctl put /kept two')
  await lab.host.kill()
  await lab.host.boot()
  assert.equal(await key(), 'two')
})

test('a runtime state that a power cut left does not stop the next start', async () => {
  // As when /run outlives the crash: the state says that the container runs, and nothing of it does.
  await lab.shell('cp -a /run/runc/etcd /run/kept && systemctl stop etcd')
  await lab.shell('mkdir -p /run/runc && mv /run/kept /run/runc/etcd')
  assert.match(await lab.shell('runc list'), /^etcd\b.*stopped/m)
  await lab.must('run', 'etcd')
  assert.equal(await key(), 'two')
})

test('a second installation says that it is there already, and changes nothing', async () => {
  const installed = lab.files()
  const { stdout } = await lab.must('install', '--system', image)
  assert.equal(stdout, 'etcd already present\n')
  assert.deepEqual((await lab.must('install', '--json', image)).json, {
    outcome: 'present',
    name: 'etcd',
  } satisfies InstallResult)
  // etcd itself goes on writing.
  assert.deepEqual(
    changesSince(installed, lab).filter((line) => !line.includes('/var/lib/etcd/')),
    [],
  )
})

test('uninstalling removes everything but the data, and says that the data is kept', async () => {
  const { json, stderr } = await lab.must<UninstallResult>('uninstall', '--json', 'etcd')
  assert.deepEqual(json, { name: 'etcd', kept: [] })
  assert.match(stderr, /^Kept \/var\/lib\/etcd, which is not empty\.$/m)
  assert.equal(await lab.property('etcd', 'LoadState'), 'not-found')
  assert.equal(await lab.shell('pidof etcd || true'), '')
  assert.equal(await lab.shell('ls /run/runc'), '')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers'), '')
  const left = changedPaths()
  assert.ok(left.includes('+ /var/lib/etcd/member/wal'), left.join('\n'))
  assert.deepEqual(
    left.filter((line) => !line.startsWith('+ /var/lib/etcd')),
    [],
  )
})

test('the data serves the next installation, and nothing at all is left when it is removed', async () => {
  await lab.registry.start()
  await lab.must('install', '--system', '--now', image)
  assert.equal(await key(), 'two')
  await lab.must('uninstall', 'etcd')
  await lab.shell('rm -r /var/lib/etcd')
  assert.deepEqual(changesSince(untouched, lab), [])
})

function changedPaths(): string[] {
  return changesSince(untouched, lab).map((line) => line.split(' ', 2).join(' '))
}

async function key(): Promise<string> {
  return lab.shell('etcdctl get --print-value-only /kept')
}
