import assert from 'node:assert/strict'
import { chmodSync, existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import type { MountedTree } from '../../src/store/mount-record.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Looking at images and containers through mounts: what they show, what they forbid, and that nothing is left of them. */
let lab: InstalledHost
let plain: string
let writable: string
let untouched: Snapshot

const containers = '/var/lib/forerun/containers'
const mounts = '/var/lib/forerun/store/mounts'
const loop = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done']

before(async () => {
  // Not that of the host, which is an overlay itself.
  lab = await installedHost({ settle: 0.5, disks: { '/var/lib/forerun': 'ext4' } })
  const files = {
    'srv/version': 'one\n',
    'srv/removed': 'r',
    'srv/raise': { content: readFileSync(join(lab.host.root, 'usr/bin/id')), mode: 0o4755 },
  }
  plain = await lab.push('team/plain', busyboxImage({ exports: serviceExports(loop), layers: [files] }))
  const exports = { ...serviceExports(loop, { readonly: false }), 'manifest.json': { keepRootChanges: true } }
  writable = await lab.push('team/writable', busyboxImage({ exports, layers: [files] }))
  await lab.shell('mkdir -p /mnt/a /mnt/b; ln -s a /mnt/link')
  untouched = lab.files()
})
after(() => lab[Symbol.asyncDispose]())

afterEach(async () => {
  assert.deepEqual((await lab.must<MountedTree[]>('mount', '--json')).json, [])
  assert.equal(await lab.shell('grep -E " /mnt/|/mounts/" /proc/self/mountinfo || true'), '')
  assert.equal(await lab.shell(`ls -d ${mounts} 2>/dev/null || true`), '')
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

/** As `writable`, with one more file. */
function nextImage(): ReturnType<typeof busyboxImage> {
  const exports = { ...serviceExports(loop, { readonly: false }), 'manifest.json': { keepRootChanges: true } }
  return busyboxImage({ exports, layers: [{ 'srv/version': 'one\n', 'srv/next': 'n\n' }] })
}

/** What `forerun mount` lists: source and directory. */
async function listed(): Promise<string[]> {
  const { json } = await lab.must<MountedTree[]>('mount', '--json')
  return json.map(({ kind, source, directory }) => `${kind} ${source} ${directory}`)
}

/** Options of the mount at a directory. */
async function optionsAt(directory: string): Promise<string[]> {
  return (await lab.shell(`findmnt -no VFS-OPTIONS ${directory}`)).split(',')
}

async function refused(words: readonly string[], error: RegExp, hint: RegExp): Promise<void> {
  const { status, stderr } = await lab.forerun(...words)
  assert.match(stderr, error)
  assert.match(stderr, hint)
  assert.notEqual(status, 0)
}

test('an image that is not stored is pulled, and mounted so that nobody can write to it or gain by it', async () => {
  const { stdout } = await lab.must('mount', plain, '/mnt/a')
  assert.equal(stdout, '')
  assert.equal(await lab.shell('cat /mnt/a/srv/version'), 'one')
  const options = await optionsAt('/mnt/a')
  for (const option of ['ro', 'nosuid', 'nodev']) assert.ok(options.includes(option), options.join())
  assert.match(await lab.shell('echo x 2>&1 >/mnt/a/srv/version || true'), /Read-only file system/)
  assert.match(await lab.shell('rm /mnt/a/srv/removed 2>&1 || true'), /Read-only file system/)
  const asNobody = 'setpriv --reuid 65534 --regid 65534 --clear-groups'
  assert.equal(await lab.shell(`stat -c %a /mnt/a/srv/raise; ${asNobody} /mnt/a/srv/raise -u`), '4755\n65534')
  assert.equal(await lab.shell(`cp -p /mnt/a/srv/raise /srv/raise; ${asNobody} /srv/raise -u; rm /srv/raise`), '0')
  assert.ok(Number(await lab.shell('stat -c %h /mnt/a/srv/version')) > 1, 'a hard link of the store')
  assert.deepEqual(await listed(), [`image ${plain}:latest /mnt/a`])
  assert.match((await lab.must('mount')).stdout, /^SOURCE +KIND +DIRECTORY\n.*\/team\/plain:latest +image +\/mnt\/a$/m)
  assert.equal(await lab.shell(`ls ${mounts}/*`), 'mount\nroot\nbound'.split('\n').sort().join('\n'))
  await lab.must('umount', '/mnt/a')
})

test('a stored image needs no registry; it is mounted twice, by its id, and through a link, and stays when it is deleted', async () => {
  await lab.must('pull', plain)
  await lab.must('images', 'tag', plain, 'absent.invalid/other/thing:1')
  await lab.must('mount', 'http:absent.invalid/other/thing:1', '--storage', 'ostree', '--shared', '/mnt/a')
  const id = (await lab.must<{ id: string }[]>('images', 'list', '--json')).json[0]?.id ?? ''
  await lab.must('mount', id.slice(7, 19), '/mnt/b')
  assert.equal((await listed()).length, 2)
  await lab.must('umount', '/mnt/link')
  assert.deepEqual((await listed()).length, 1)
  await lab.must('images', 'delete', id)
  await lab.must('images', 'prune')
  assert.equal(await lab.shell('cat /mnt/b/srv/version; ls /mnt/a'), 'one')
  await lab.must('mount', plain, '/mnt/link')
  await lab.must('unmount', '/mnt/a/')
  await lab.must('umount', '/mnt/b')
  await lab.must('verify', '--all')
})

test('a container is mounted as its deployment has it, also with a tree of the user, and uninstalling and updating go on beside', async () => {
  await lab.must('install', '--name', 'app', plain)
  await lab.shell('cp -a /var/lib/forerun/containers/app.0/rootfs /srv/tree; echo own >/srv/tree/srv/version')
  await lab.must('install', '--name', 'own', '--rootfs', '/srv/tree', plain)
  await lab.must('mount', 'app', '/mnt/a')
  await lab.must('mount', 'own', '/mnt/b')
  assert.equal(await lab.shell('cat /mnt/a/srv/version /mnt/b/srv/version'), 'one\nown')
  for (const directory of ['/mnt/a', '/mnt/b']) {
    const options = await optionsAt(directory)
    for (const option of ['ro', 'nosuid', 'nodev']) assert.ok(options.includes(option), options.join())
  }
  await lab.shell('echo changed >/srv/tree/srv/version')
  assert.equal(await lab.shell('cat /mnt/b/srv/version'), 'changed')
  await lab.must('update', '--rebase', writable, 'app')
  assert.equal(await lab.shell('cat /mnt/a/srv/version'), 'one')
  await lab.must('uninstall', 'app')
  await lab.must('uninstall', 'own')
  assert.equal(await lab.shell(`ls -A ${containers}; cat /srv/tree/srv/version`), 'changed')
  assert.deepEqual(await listed(), ['container app /mnt/a', 'container own /mnt/b'])
  await lab.must('umount', '/mnt/a')
  await lab.must('umount', '/mnt/b')
  await lab.shell('rm -r /srv/tree')
})

test('a root that is an overlay shows what the container wrote, while it runs, and where it is not mounted', async () => {
  await lab.must('install', '--now', '--name', 'my-db', writable)
  await lab.inside('my-db', 'sh', '-c', 'rm /srv/removed; echo two >/srv/version')
  await lab.must('mount', 'my-db', '/mnt/a')
  await lab.inside('my-db', 'sh', '-c', 'echo new >/srv/new')
  assert.equal(await lab.shell('cd /mnt/a/srv && ls && cat version new'), 'new\nraise\nversion\ntwo\nnew')
  assert.match(await lab.shell('echo x 2>&1 >/mnt/a/srv/version || true'), /Read-only file system/)
  await lab.must('umount', '/mnt/a')
  await lab.must('stop', 'my-db')
  await lab.shell(`systemctl stop '${containers.slice(1).replaceAll('/', '-')}-my\\x2ddb.0-rootfs.mount'`)
  assert.equal(await lab.shell(`findmnt ${containers}/my-db.0/rootfs || true`), '')
  await lab.must('mount', 'my-db', '/mnt/a')
  assert.equal(await lab.shell('cd /mnt/a/srv && ls && cat version new'), 'new\nraise\nversion\ntwo\nnew')
  const options = await optionsAt('/mnt/a')
  for (const option of ['ro', 'nosuid', 'nodev']) assert.ok(options.includes(option), options.join())
  assert.match(await lab.shell('mount -o remount,rw /mnt/a 2>&1; echo x 2>&1 >/mnt/a/srv/version || true'), /Read-only/)
  await lab.must('run', 'my-db')
  assert.equal(await lab.inside('my-db', 'cat', '/srv/version'), 'two\n')
  await lab.must('umount', '/mnt/a')
  // Updated, with what it wrote, and removed while its root is mounted here, too.
  await lab.must('mount', 'my-db', '/mnt/a')
  await lab.must('update', '--rebase', await lab.push('team/next', nextImage()), 'my-db')
  await lab.must('mount', 'my-db', '/mnt/b')
  await lab.inside('my-db', 'sh', '-c', 'echo three >/srv/version')
  assert.equal(await lab.shell('cat /mnt/b/srv/next /mnt/b/srv/new /mnt/b/srv/version'), 'n\nnew\nthree')
  await lab.must('uninstall', 'my-db')
  assert.equal(await lab.shell(`ls -A ${containers}`), '')
  await lab.must('umount', '/mnt/a')
  await lab.must('umount', '/mnt/b')
  await lab.must('install', '--name', 'closed', '--checkout', 'overlay', plain)
  await lab.must('mount', 'closed', '/mnt/a')
  assert.equal(await lab.shell('cat /mnt/a/srv/version'), 'one')
  await lab.must('umount', '/mnt/a')
})

test('directories that are not fit, and mounts of others, are refused with a hint', async () => {
  await lab.must('pull', plain)
  await lab.shell('mkdir /srv/full; touch /srv/full/file; mount -t tmpfs tmpfs /mnt/b')
  await refused(['mount', plain, '/mnt/absent'], /^forerun: there is no directory '\/mnt\/absent'$/m, /^hint: .*mkdir/m)
  await refused(['mount', plain, '/etc/passwd'], /'\/etc\/passwd' is not a directory/, /^hint: /m)
  await refused(['mount', plain, '/srv/full'], /'\/srv\/full' is not empty/, /^hint: Give an empty directory/m)
  await refused(['mount', plain, '/mnt/b'], /something is mounted at '\/mnt\/b' already/, /^hint: .*findmnt/m)
  await refused(['mount', plain, '/'], /something is mounted at '\/' already/, /^hint: /m)
  await refused(['umount', '/mnt/b'], /forerun has mounted nothing at '\/mnt\/b'/, /^hint: .*umount\(8\)/m)
  await refused(['umount', '/mnt/a'], /forerun has mounted nothing at '\/mnt\/a'/, /^hint: /m)
  await refused(['umount', '/mnt/absent'], /there is no directory/, /^hint: /m)
  await refused(['mount', '--live', plain, '/mnt/a'], /do not support --live/, /^hint: /m)
  await refused(['mount', `${plain}:absent`, '/mnt/a'], /absent/, /^hint: /m)
  const filesOnly = { 'manifest.json': { noContainerService: true }, hostfs: { '/etc/only': 'x' } }
  await lab.must('install', await lab.push('only', busyboxImage({ exports: filesOnly })))
  await refused(
    ['mount', 'only', '/mnt/a'],
    /^forerun: only has no root/m,
    /^hint: .*forerun mount .*\/only:latest DIR$/m,
  )
  await lab.must('mount', plain, '/mnt/a')
  await refused(['mount', plain, '/mnt/a'], /something is mounted at '\/mnt\/a' already/, /^hint: /m)
  const user = lab.host.start(['sh', '-c', 'cd /mnt/a && exec sleep 600'], { check: false })
  await until('it is in there', async () => (await lab.shell('ls -l /proc/[0-9]*/cwd 2>&1')).includes('/mnt/a\n'))
  await refused(['umount', '/mnt/a'], /^forerun: '\/mnt\/a' is in use$/m, /^hint: .*fuser -vm '\/mnt\/a'/m)
  assert.equal(await lab.shell('cat /mnt/a/srv/version'), 'one')
  assert.equal((await listed()).length, 1)
  user.signal('SIGKILL')
  await user.finished
  await lab.shell('mount -t tmpfs tmpfs /mnt/a')
  await refused(['umount', '/mnt/a'], /something else is mounted over '\/mnt\/a'/, /^hint: .*findmnt/m)
  await lab.shell('umount /mnt/a; umount /mnt/b; rm -r /srv/full')
  await lab.must('umount', '/mnt/a')
})

test('what a mount that was killed left goes with the next command, whichever step it was killed at', async () => {
  await lab.must('pull', plain)
  await lab.must('install', '--name', 'app', plain)
  const wrapper = (program: string): string => `#!/bin/sh
echo >>/run/calls
if [ "$(wc -l </run/calls)" = "$(cat /run/kill-at)" ]; then
  if [ -e /run/kill-after ]; then /usr/bin/${program} "$@"; fi
  kill -KILL $PPID
  exit
fi
exec /usr/bin/${program} "$@"
`
  const wrappers = ['mount', 'umount'].map(
    (name) => [join(lab.host.root, 'usr/local/sbin', name), wrapper(name)] as const,
  )
  let killed = 0
  for (const source of [plain, 'app']) {
    for (const step of [1, 2, 3]) {
      for (const when of ['rm -f', 'touch']) {
        for (const [path, script] of wrappers) {
          writeFileSync(path, script)
          chmodSync(path, 0o755)
        }
        await lab.shell(`rm -f /run/calls; echo ${step} >/run/kill-at; ${when} /run/kill-after`)
        const { status } = await lab.forerun('mount', source, '/mnt/a')
        await lab.shell('rm /usr/local/sbin/mount /usr/local/sbin/umount')
        if (status === 137) killed++
        assert.ok(existsSync(join(lab.host.root, 'usr/bin/forerun')))
        assert.deepEqual(await listed(), [])
        assert.notEqual(await lab.shell(`ls ${mounts}`), '')
        if (step === 1) await lab.must('images', 'prune')
        else await lab.forerun('umount', '/mnt/a')
        assert.equal(await lab.shell(`ls ${mounts} 2>/dev/null || true`), '', `${source}, step ${step}, ${when}`)
        assert.equal(await lab.shell('grep -E " /mnt/|/mounts/" /proc/self/mountinfo || true'), '')
      }
    }
  }
  assert.equal(killed, 12)
  await lab.must('mount', plain, '/mnt/a')
  await lab.must('umount', '/mnt/a')
})

test('a signal during the checkout leaves nothing', async () => {
  await lab.must('pull', plain)
  for (const delay of [0.1, 0.15, 0.2, 0.25, 0.3, 0.4]) {
    await lab.host.exec(['timeout', '-s', 'INT', `${delay}`, 'forerun', 'mount', plain, '/mnt/a'], { check: false })
    if ((await listed()).length > 0) await lab.must('umount', '/mnt/a')
    assert.equal(await lab.shell(`ls ${mounts} 2>/dev/null || true`), '')
  }
})

test('after umount(8) and a reboot the next command takes away what is left, and never what somebody still sees', async () => {
  await lab.must('mount', plain, '/mnt/a')
  await lab.shell('umount /mnt/a')
  await lab.must('mount', plain, '/mnt/b')
  assert.equal(await lab.shell(`ls ${mounts} | wc -l`), '1')
  const view = lab.host.start(['unshare', '-m', '--propagation', 'private', 'sleep', '600'], { check: false })
  await until('it has its own view', async () => (await lab.shell('lsns -t mnt -no COMMAND')).includes('sleep 600'))
  await lab.must('umount', '/mnt/b')
  await lab.must('images', 'prune')
  assert.equal(await lab.shell('nsenter -m -t $(pgrep -x sleep | tail -1) cat /mnt/b/srv/version || true'), 'one')
  assert.deepEqual(await listed(), [])
  view.signal('SIGKILL')
  await view.finished
  await lab.must('images', 'prune')
  assert.equal(await lab.shell(`ls ${mounts} 2>/dev/null || true`), '')
  await lab.must('mount', plain, '/mnt/a')
  await lab.host.reboot()
  assert.deepEqual(await listed(), [])
  assert.equal(lstatSync(join(lab.host.root, 'mnt/a')).isDirectory(), true)
  await refused(['umount', '/mnt/a'], /forerun has mounted nothing at/, /^hint: /m)
})
