import assert from 'node:assert/strict'
import { once } from 'node:events'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { differences, type Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Roots that are overlays, through restarts, reboots and crashes to their end. */
let lab: InstalledHost
let changing: string
let plain: string
let untouched: Snapshot

const args = ['sh', '-c', 'echo started >>/var/log; trap "exit 0" TERM; while :; do sleep 0.1; done']
const layers = [
  { 'srv/removed': 'r', 'srv/changed': 'x', 'srv/again': { type: 'link', target: 'srv/changed' } },
] as const
const mountUnit = 'var-lib-forerun-containers-my\\x2ddb.0-rootfs.mount'

before(async () => {
  // Not that of the host, which is an overlay itself.
  lab = await installedHost({ disks: { '/var/lib/forerun': 'ext4' } })
  const exports = { ...serviceExports(args, { readonly: false }), 'manifest.json': { keepRootChanges: true } }
  changing = await lab.push('my-db', busyboxImage({ exports, layers }))
  const exportsOfPlain = serviceExports(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done'])
  plain = await lab.push('plain', busyboxImage({ exports: exportsOfPlain }))
  untouched = lab.files()
})
after(() => lab[Symbol.asyncDispose]())

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
  assert.deepEqual(readdirSync(join(lab.host.root, 'var/lib/forerun/containers')), [])
  assert.equal(await lab.shell('grep -c /containers/ /proc/self/mounts || true'), '0')
  assert.equal(await lab.shell('systemctl list-units --all --no-legend "*containers*"'), '')
  assert.equal(await lab.shell('systemctl list-units --failed --no-legend'), '')
})

/** The store and a deployment's files of the image, which are the same inodes. */
function shared(): Snapshot {
  return lab.host.snapshot({
    paths: ['/var/lib/forerun/store/objects', '/var/lib/forerun/containers/my-db.0/checkout'],
    times: true,
  })
}

test('what a container writes to a writable root stays, and lies apart from the files that it shares', async () => {
  await lab.must('install', '--now', changing)
  const deployment = join(lab.host.root, 'var/lib/forerun/containers/my-db.0')
  assert.ok(lstatSync(join(deployment, 'checkout/srv/changed')).nlink > 2, 'with the store, and its other name')
  const before = shared()
  await lab.inside('my-db', 'sh', '-c', 'rm /srv/removed; echo y >>/srv/changed; chmod 600 /srv/again; echo new >/new')
  assert.deepEqual(readdirSync(join(deployment, 'upper')).sort(), ['new', 'srv', 'var'])

  const kept = async (starts: number): Promise<void> => {
    assert.equal(await lab.inside('my-db', 'cat', '/srv/changed', '/new'), 'xy\nnew\n')
    assert.equal(await lab.inside('my-db', 'ls', '/srv'), 'again\nchanged\n')
    assert.equal(await lab.inside('my-db', 'cat', '/var/log'), 'started\n'.repeat(starts))
    assert.deepEqual(differences(before, shared()), [])
  }
  await kept(1)
  await lab.shell('systemctl restart my-db')
  await kept(2)
  await lab.host.reboot()
  await kept(3)
  await lab.host.kill()
  await lab.host.boot()
  await kept(4)
  const info = JSON.parse(readFileSync(join(deployment, 'info'), 'utf8')).forerun
  assert.deepEqual(info.overlay, { 'mount-unit': mountUnit, kind: 'writable', 'keep-changes': true })
  assert.equal(info.checkout, 'auto')
})

test('the mount has a unit that the service needs and comes after; nothing enables it, and --display shows it', async () => {
  const { stdout } = await lab.must('install', '--display', changing)
  assert.ok(stdout.includes(`# /etc/systemd/system/${mountUnit}\n`), stdout)
  await lab.must('install', changing)
  const unit = `'${mountUnit}'`
  assert.equal(
    await lab.shell(`systemd-escape --path --suffix=mount /var/lib/forerun/containers/my-db.0/rootfs`),
    mountUnit,
  )
  assert.match(await lab.property(unit, 'Before'), /\bmy-db\.service\b/)
  assert.equal(await lab.property(unit, 'UnitFileState'), 'static')
  for (const name of ['BindsTo', 'After']) {
    // systemctl quotes a name with a backslash.
    const units = (await lab.property('my-db', name)).replaceAll('\\\\', '\\').replaceAll('"', '').split(' ')
    assert.ok(units.includes(mountUnit), `${name}: ${units.join(' ')}`)
  }
  assert.equal(await lab.shell(`systemd-analyze verify /etc/systemd/system/${unit} 2>&1`), '')
  await lab.must('run', 'my-db')
  assert.match(await lab.inside('my-db', 'grep', ' / ', '/proc/mounts'), /^overlay \/ overlay rw,/)
  await lab.shell(`systemctl stop ${unit}`)
  assert.equal(await lab.property('my-db', 'ActiveState'), 'inactive')
  await lab.must('run', 'my-db')
  assert.equal(await lab.property(unit, 'ActiveState'), 'active')
})

test('an overlay that somebody uses cannot be uninstalled, and goes on as before', async () => {
  await lab.must('install', '--now', changing)
  await lab.inside('my-db', 'sh', '-c', 'echo new >/new')
  const inside = 'cd /var/lib/forerun/containers/my-db.0/rootfs && echo in && exec sleep 600'
  const user = lab.host.start(['sh', '-c', inside], { check: false })
  await once(user.child.stdout as Readable, 'data')
  const { status, stderr } = await lab.forerun('uninstall', 'my-db')
  assert.match(stderr, /^forerun: cannot stop var-lib-forerun-containers-my\\x2ddb\.0-rootfs\.mount: /m)
  assert.match(stderr, /^hint: .*'var-lib-forerun-containers-my\\x2ddb\.0-rootfs\.mount'$/m)
  assert.equal(status, 1)
  assert.equal(await lab.inside('my-db', 'cat', '/new'), 'new\n')
  user.signal('SIGKILL')
  await user.finished
  await lab.must('uninstall', 'my-db')
})

test('a read-only root by --checkout overlay has nowhere to write to', async () => {
  await lab.must('install', '--now', '--checkout', 'overlay', plain)
  assert.match(await lab.inside('plain', 'grep', ' / ', '/proc/mounts'), /^overlay \/ overlay ro,/)
  assert.match(await lab.inside('plain', 'cat', '/etc/passwd'), /^root:/)
  const deployment = join(lab.host.root, 'var/lib/forerun/containers/plain.0')
  assert.ok(lstatSync(join(deployment, 'checkout/bin/busybox')).nlink > 1)
  assert.deepEqual(readdirSync(join(deployment, 'empty')), [])
  await lab.host.reboot()
  assert.match(await lab.inside('plain', 'grep', ' / ', '/proc/mounts'), /^overlay \/ overlay ro,/)
})

test('a writable root by --rootfs is the given folder itself, and never one whose files others have', async () => {
  await lab.must('install', '--now', '--checkout', 'copy', plain)
  await lab.shell('cp -a /var/lib/forerun/containers/plain.0/rootfs /srv/tree')
  await lab.shell('mkdir /srv/tree/exports.old; cp -a /srv/tree/exports/. /srv/tree/exports.old')
  const template = join('/srv/tree/exports/config.json.template')
  await lab.shell(`sed -i 's/"readonly": true/"readonly": false/; s/trap/echo x >\\/new; trap/' ${template}`)
  await lab.must('install', '--now', '--name', 'own', '--rootfs', '/srv/tree', plain)
  assert.equal(await lab.inside('own', 'cat', '/new'), 'x\n')
  assert.equal(await lab.shell('cat /srv/tree/new'), 'x')
  assert.match(await lab.property('own', 'RequiresMountsFor'), /\/srv\/tree\b/)
  await lab.must('uninstall', 'own')
  const folder = '/var/lib/forerun/containers/plain.0/tree'
  await lab.shell(`mv /srv/tree ${folder}`)
  const told = await lab.must('install', '--name', 'told', '--rootfs', folder, plain)
  assert.match(told.stderr, /^told may change '.*\/plain\.0\/tree', which is another's too: it has a writable root$/m)
  await lab.must('uninstall', 'told')
  await lab.shell(`ln ${folder}/bin/busybox ${folder}/../busybox`)
  const refused = await lab.forerun('install', '--name', 'other', '--rootfs', folder, plain)
  assert.match(
    refused.stderr,
    /^forerun: '.*\/plain\.0\/tree' cannot be the root of a container that has a writable root$/m,
  )
  const usage = await lab.forerun('install', '--name', 'other', '--checkout', 'copy', '--rootfs', '/srv', plain)
  assert.equal(usage.status, 2)
  assert.match(usage.stderr, /--checkout and --rootfs cannot be used together/)
})

test('a name that makes the name of the mount unit too long is refused', async () => {
  await lab.must('pull', changing)
  const { stderr, status } = await lab.forerun('install', '--name', `a${'-'.repeat(60)}b`, changing)
  assert.match(stderr, /^forerun: the mount of '.*' has no unit: its name would be too long for systemd$/m)
  assert.equal(status, 1)
})
