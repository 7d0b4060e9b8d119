import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { extendedAttributes } from '../../src/host/system-calls.ts'
import { busyboxImage } from '../lab/busybox.ts'
import type { LayerFiles } from '../lab/layer.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Ordinary images that write: to their root, and to the volumes that they declare. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost({ disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  await lab.shell('rm -rf /var/lib/web')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

/** Each is another, since the name of one that is stored is not asked for again. */
let images = 0
const waiting = 'trap "exit 0" TERM; while :; do sleep 0.1; done'

function image(script: string, volumes: readonly string[], files: LayerFiles = {}): Promise<string> {
  const config = { Volumes: Object.fromEntries(volumes.map((path) => [path, {}])) }
  return lab.push(
    `volumes:${++images}`,
    busyboxImage({ entrypoint: ['sh', '-c', `${script}\n${waiting}`], layers: [files], config }),
  )
}

function inside(script: string): Promise<string> {
  return lab.inside('web', 'sh', '-c', script).then((output) => output.trim())
}

test('what an image holds in a volume is there, with its owner, mode and attributes, and is filled in once', async () => {
  const conf = { type: 'directory', mode: 0o2750, uid: 7, gid: 8 } as const
  const file = { content: 'listen=8080\n', mode: 0o640, uid: 7, gid: 9, xattrs: { 'user.note': 'kept' } }
  const reference = await image('', ['/app/conf'], {
    'app/conf': conf,
    'app/conf/default.conf': file,
    'app/conf/link': { target: 'default.conf' },
  })
  await lab.must('install', '--name', 'web', '--now', reference)
  const look = () => lab.shell("cd /var/lib/web/app+conf && stat -c '%a %u:%g %N' . * && cat link")
  assert.equal(await look(), "2750 7:8 '.'\n640 7:9 'default.conf'\n777 0:0 'link' -> 'default.conf'\nlisten=8080")
  const placed = join(lab.host.root, 'var/lib/web/app+conf/default.conf')
  assert.equal(extendedAttributes(Buffer.from(placed)).get('user.note')?.toString(), 'kept')
  assert.equal(await inside('cat /app/conf/link'), 'listen=8080')

  await lab.shell('echo listen=80 >/var/lib/web/app+conf/default.conf; rm /var/lib/web/app+conf/link')
  const { stderr } = await lab.must('uninstall', 'web')
  assert.match(stderr, /Kept \/var\/lib\/web\/app\+conf, which is not empty/)
  await lab.must('install', '--name', 'web', '--now', reference)
  assert.equal(await inside('ls /app/conf; cat /app/conf/default.conf'), 'default.conf\nlisten=80')
})

test('a data folder keeps owner and mode that the service gave it, over reboots', async () => {
  const script = 'if [ ! -e /data/ready ]; then touch /data/ready; chmod 700 /data; chown 1:1 /data; fi'
  await lab.must(
    'install',
    '--name',
    'web',
    '--now',
    await image(script, ['/data'], { data: { type: 'directory', mode: 0o755 } }),
  )
  const look = () => lab.shell('stat -c "%a %u:%g" /var/lib/web/data')
  await until('it has taken its folder', async () => (await look()) === '700 1:1')
  await lab.host.reboot()
  assert.equal(await inside('stat -c "%a %u:%g" /data'), '700 1:1')
})

test('what the container writes to its root stays over a reboot until it is uninstalled', async () => {
  await lab.must('install', '--name', 'web', '--now', await image('echo started >>/var/log', []))
  await lab.host.reboot()
  await until('it has written', async () => (await inside('cat /var/log')) === 'started\nstarted')
  await lab.must('uninstall', 'web')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers'), '')
})

test('volumes above other mounts hide none of them', async () => {
  const files = { 'var/tmp': { type: 'directory', mode: 0o1777 }, 'var/run': { target: '../run' } } as const
  await lab.shell('echo nameserver 127.0.0.9 >/etc/resolv.conf')
  const host = await lab.shell('cat /etc/hosts')
  await lab.must('install', '--name', 'web', '--now', await image('', ['/etc', '/var', '/var/run/app', '/'], files))
  assert.equal(await inside('cat /etc/hosts'), host)
  assert.match(await inside('cat /etc/resolv.conf /etc/passwd'), /127\.0\.0\.9\nroot:x:0/)
  assert.equal(await inside('grep -c " /var/tmp tmpfs" /proc/mounts; touch /var/tmp/x /run/app/y'), '1')
  assert.equal(await lab.shell('ls /var/lib/web/var+run+app'), 'y')
})

test('a container cannot have another folder of the host mounted by a link in its volume', async () => {
  await lab.must('install', '--name', 'web', '--now', await image('', ['/data', '/data/a/cron.d']))
  await lab.shell('chmod 755 /etc/cron.d 2>/dev/null || mkdir -m 755 /etc/cron.d')
  // As the container may do once the mount below is gone, by its own writes to /data.
  await lab.shell('systemctl stop web; rm -r /var/lib/web/data/a; ln -s /etc /var/lib/web/data/a')
  const before = await lab.shell('stat -c "%a %u:%g %Z" /etc/cron.d')
  await lab.host.reboot()
  await inside('touch /etc/cron.d/evil')
  assert.equal(
    await lab.shell('ls /etc/cron.d /var/lib/web/data+a+cron.d | grep -v e2scrub'),
    '/etc/cron.d:\n\n/var/lib/web/data+a+cron.d:\nevil',
  )
  assert.equal(await lab.shell('stat -c "%a %u:%g %Z" /etc/cron.d'), before)
  await lab.must('uninstall', 'web')
  assert.equal(await lab.shell('stat -c "%a %u:%g %Z" /etc/cron.d'), before)
})

test('a set-uid program that a container makes in a volume serves nobody, in it or on the host', async () => {
  await lab.must('install', '--name', 'web', '--now', await image('', ['/data']))
  await inside('cp /bin/busybox /data/id; chmod 4755 /data/id; mknod /data/null c 1 3')
  assert.match(await inside('grep " /data " /proc/mounts'), /nosuid,nodev/)
  // By a shell: setpriv itself still has capabilities when it looks for the program.
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c']
  const { status, stderr } = await lab.host.exec([...nobody, '/var/lib/web/data/id -u'], { check: false })
  assert.notEqual(status, 0)
  assert.match(stderr, /Permission denied/)
})

test('an install that fails takes its volumes back, except for what has been written', async () => {
  const reference = await image('', ['/data'], { 'data/of-image': 'x' })
  await lab.shell('mkdir -p /var/lib/web/data; chmod 751 /var/lib/web/data; chown 5:6 /var/lib/web/data')
  await lab.shell(
    'mkdir -p /etc/systemd/system/web.service.d; printf "[Service]\\nExecStartPre=/bin/false\\n" >/etc/systemd/system/web.service.d/x.conf',
  )
  const { status } = await lab.forerun('install', '--name', 'web', '--now', reference)
  assert.equal(status, 1)
  assert.equal(await lab.shell('stat -c "%a %u:%g" /var/lib/web/data; ls -A /var/lib/web/data'), '751 5:6')
  assert.equal(await lab.shell('stat -c %a /var/lib/web'), '755')
  await lab.shell('rm -r /etc/systemd/system/web.service.d')
  assert.equal(await lab.shell('ls -d /var/lib/.forerun* 2>/dev/null || true'), '')
})

test('a folder that has other uses, or that others may change, is not taken for volumes', async () => {
  const reference = await image('', ['/data'])
  await lab.shell('mkdir -p /var/lib/web/other')
  const { stderr } = await lab.forerun('install', '--name', 'web', reference)
  assert.match(stderr, /'\/var\/lib\/web', which others than root may enter, and which has 'other'/)
  await lab.shell('rm -r /var/lib/web/other; chown 1 /var/lib/web')
  assert.match(
    (await lab.forerun('install', '--name', 'web', reference)).stderr,
    /others than root may change '\/var\/lib\/web'/,
  )
})

test('a volume on a file of the image is refused before anything is made', async () => {
  const { status, stderr } = await lab.forerun(
    'install',
    '--name',
    'web',
    await image('', ['/etc/app.conf'], { 'etc/app.conf': 'x' }),
  )
  assert.equal(status, 1)
  assert.match(stderr, /volume '\/etc\/app\.conf' cannot be mounted: the image has a file at/)
})

test('where an overlay cannot be mounted the error tells of --read-only, which helps', async () => {
  const reference = await image('echo x >/var/log || true', [])
  const settings = '/etc/forerun/forerun.conf'
  await lab.shell(`mkdir -p /etc/forerun; printf '[containers]\\npath=/srv/containers\\n' >${settings}`)
  const { status, stderr } = await lab.forerun('install', '--name', 'web', reference)
  assert.equal(status, 1)
  assert.match(stderr, /an overlay cannot be mounted .*\n.*--read-only/)
  await lab.must('install', '--name', 'web', '--now', '--read-only', reference)
  const refused = await lab.host.exec(['runc', 'exec', 'web', 'touch', '/file'], { check: false })
  assert.match(refused.stderr, /Read-only file system/)
  await lab.must('uninstall', 'web')
  await lab.shell(`printf 'read-only=yes\\n' >>${settings}`)
  await lab.must('install', '--name', 'web', reference)
  await lab.must('uninstall', 'web')
  await lab.shell('rm -r /etc/forerun /srv/containers')
})
