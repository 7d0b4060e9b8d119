import assert from 'node:assert/strict'
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { attacks } from './checkout-attacks.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What processes in a read-only root, as root and with capabilities, can do to files that the store shares with it. */
let lab: InstalledHost

const loop = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done']
/** Those that are known to be safe and have to do with files. */
const capabilities = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_LEASE'],
  ...['CAP_LINUX_IMMUTABLE', 'CAP_MKNOD', 'CAP_NET_ADMIN', 'CAP_SETFCAP', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID'],
  ...['CAP_SYS_CHROOT', 'CAP_SYS_PTRACE'],
]
/** The programs are the host's own. */
const usr = { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] }
const layers = [
  { usr: { type: 'directory' }, lib: { target: 'usr/lib' }, lib64: { target: 'usr/lib64' }, 'srv/file': 'content' },
] as const

before(async () => {
  lab = await installedHost({ disks: { '/var/lib/forerun': 'ext4' } })
})
after(() => lab[Symbol.asyncDispose]())
afterEach(() => lab.must('containers', 'delete', '--all', '--force'))

async function push(name: string, options: Parameters<typeof serviceExports>[1]): Promise<string> {
  const mounts = [usr, ...(options?.mounts ?? [])]
  return await lab.push(name, busyboxImage({ exports: serviceExports(loop, { ...options, mounts }), layers }))
}

/** All that a file system keeps of the store's files: reading them through a read-only mount does not even change a time. */
async function store(): Promise<string> {
  const objects = '/var/lib/forerun/store/objects'
  // First, since reading changes a time; what was read once is not read again.
  const contents = [...lab.host.snapshot({ paths: [objects] })].map(([path, line]) => `${path} ${line}`)
  const states = await lab.shell(`cd ${objects}; find . -type f -printf '%P %A@ %C@ %T@\\n' | sort`)
  return `${contents.join('\n').replaceAll(/ links=\d+/g, '')}\n${states}`
}

/** Of what the attacks told. */
function succeeded(told: string): string[] {
  const outcomes = JSON.parse(told) as Record<string, string>
  assert.ok(Object.keys(outcomes).length > 25, told)
  return Object.keys(outcomes).filter((name) => outcomes[name] === 'done')
}

const rootfs = (name: string): string => join(lab.host.root, 'var/lib/forerun/containers', `${name}.0`)

test('hard links: with every capability that is known to be safe no attack on them succeeds', async () => {
  await lab.must('install', '--now', await push('strong', { capabilities }))
  assert.ok(lstatSync(join(rootfs('strong'), 'rootfs/srv/file')).nlink > 1)
  await lab.inside('strong', 'true')
  const before = await store()
  assert.deepEqual(succeeded(await lab.inside('strong', 'perl', '-e', attacks, '/srv/file')), [])
  assert.equal(await store(), before)
  // Where the container may write, they do what they say.
  await lab.inside('strong', 'sh', '-c', 'echo x >/tmp/file')
  const done = succeeded(await lab.inside('strong', 'perl', '-e', attacks, '/tmp/file'))
  for (const name of ['append', 'chmod when open', 'utime', 'write by /proc', 'set a capability', 'unlink']) {
    assert.ok(done.includes(name), `${name} is not among ${done.join(', ')}`)
  }
})

test('CAP_SYS_ADMIN can mount the root writable: then the files are its own, and hard links are refused', async () => {
  const image = await push('admin', { capabilities: [...capabilities, 'CAP_SYS_ADMIN'] })
  const { status, stderr } = await lab.forerun('install', '--checkout', 'hardlink', image)
  assert.match(stderr, /^forerun: admin cannot have hard links to the store: it may have CAP_SYS_ADMIN/m)
  assert.equal(status, 1)

  await lab.must('install', '--now', image)
  assert.equal(lstatSync(join(rootfs('admin'), 'rootfs/srv/file')).nlink, 1)
  await lab.inside('admin', 'true')
  const before = await store()
  await lab.inside('admin', 'sh', '-c', 'mount -o remount,bind,rw / && echo y >>/srv/file && chmod 777 /srv/file')
  assert.equal(await lab.inside('admin', 'cat', '/srv/file'), 'contenty\n')
  assert.equal(await store(), before)
})

test('an overlay keeps files shared with a container that has CAP_SYS_ADMIN', async () => {
  const image = await push('admin', { capabilities: [...capabilities, 'CAP_SYS_ADMIN'] })
  await lab.must('install', '--now', '--checkout', 'overlay', image)
  assert.ok(lstatSync(join(rootfs('admin'), 'checkout/srv/file')).nlink > 1)
  await lab.inside('admin', 'true')
  const before = await store()
  const script = 'mount -o remount,bind,rw /; mount -o remount,rw /; echo y >>/srv/file; chmod 777 /srv/file; true'
  await lab.inside('admin', 'sh', '-c', script)
  assert.equal(await lab.inside('admin', 'cat', '/srv/file'), 'content')
  assert.equal(await store(), before)
})

test('a configuration that mounts the store writable is told of, and gets no hard links', async () => {
  const all = { destination: '/srv', type: 'bind', source: '/var', options: ['rbind', 'rw'] }
  const image = await push('reaching', { mounts: [all] })
  const { stderr } = await lab.must('install', image)
  assert.match(
    stderr,
    /Nothing keeps reaching from changing the store: it has '\/var' mounted writable, where it reaches/,
  )
  assert.equal(lstatSync(join(rootfs('reaching'), 'rootfs/bin/busybox')).nlink, 1)

  const own = { destination: '/mnt', type: 'bind', source: 'rootfs/srv', options: ['bind'] }
  const { stderr: refused } = await lab.forerun(
    'install',
    '--checkout',
    'hardlink',
    await push('own', { mounts: [own] }),
  )
  assert.match(refused, /^forerun: own cannot have hard links to the store: it has 'rootfs\/srv' mounted writable/m)
})

test('what is not known to be safe keeps files apart', async () => {
  const data = { destination: '/mnt', type: 'bind', source: '/var/lib/forerun', options: ['rbind', 'ro'] }
  for (const [name, options] of [
    ['handles', { capabilities: ['CAP_DAC_READ_SEARCH'], mounts: [data] }],
    ['ports', { capabilities: ['CAP_SYS_RAWIO'] }],
    ['disk', { mounts: [{ destination: '/mnt', type: 'ext4', source: '/dev/vda' }] }],
    ['groups', { mounts: [{ destination: '/host/sys', type: 'bind', source: '/sys', options: ['rbind', 'ro'] }] }],
    ['sockets', { mounts: [{ destination: '/host/run', type: 'bind', source: '/run', options: ['rbind', 'ro'] }] }],
  ] as const) {
    await lab.must('install', await push(name, options))
    assert.equal(lstatSync(join(rootfs(name), 'rootfs/bin/busybox')).nlink, 1, name)
  }
})

test('what systemd itself gives to a service that tells it more than its readiness leaves files shared', async () => {
  const service = 'Type=notify\nNotifyAccess=all\nWatchdogSec=1h'
  const exports = serviceExports(['sh', '-c', 'sleep infinity'], { service })
  const { stderr } = await lab.must('install', await lab.push('heard', busyboxImage({ exports })))
  assert.doesNotMatch(stderr, /Nothing keeps/)
  const { mounts } = JSON.parse(await lab.shell('cat /var/lib/forerun/containers/heard/config.json'))
  assert.ok(mounts.some(({ source }: { source?: string }) => source === '/run/systemd/notify'))
  assert.ok(lstatSync(join(rootfs('heard'), 'rootfs/bin/busybox')).nlink > 1)
})
