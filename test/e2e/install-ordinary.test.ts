import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { after, before, test } from 'node:test'
import { setExtendedAttribute } from '../../src/host/system-calls.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** One ordinary image, without /exports, that says all that an image's configuration can say. */
let lab: InstalledHost
let untouched: Snapshot

const script = `
  trap 'echo got QUIT; exit 0' QUIT
  trap 'echo got TERM; exit 1' TERM
  echo "I am $(id -u):$(id -g) in $(pwd) with $GREETING and $*"
  echo kept >>/data/log
  sleep infinity & wait`

before(async () => {
  // Not that of the host, which is an overlay itself.
  lab = await installedHost({ disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
  const image = busyboxImage({
    entrypoint: ['sh', '-c', script, 'ordinary'],
    cmd: ['one', 'two words'],
    env: ['GREETING=hello "world"'],
    layers: [{ data: { type: 'directory', mode: 0o750, uid: 1, gid: 1 }, work: { type: 'directory' } }],
    config: {
      User: 'daemon',
      WorkingDir: '/work',
      Volumes: { '/data': {}, '/cache/deep': {} },
      StopSignal: 'SIGQUIT',
      ExposedPorts: { '8080/tcp': {} },
    },
  })
  await lab.must('install', '--system', '--now', await lab.push('ordinary', image))
})

after(() => lab[Symbol.asyncDispose]())

test('entrypoint, command, environment, directory and user are those of the image', async () => {
  await until('it has spoken', async () => (await journal()).includes('I am'))
  assert.match(await journal(), /^I am 1:1 in \/work with hello "world" and one two words$/m)
  const status = await lab.inside('ordinary', 'cat', '/proc/1/status')
  assert.match(status, /^Groups:\s*29\s*$/m)
})

test('volumes live under /var/lib/NAME with the owner and mode that they have in the image', async () => {
  assert.deepEqual(
    (await lab.shell("find /var/lib/ordinary -type d -printf '%m %U:%G %p\\n' | sort -k3")).split('\n'),
    ['700 0:0 /var/lib/ordinary', '755 0:0 /var/lib/ordinary/cache+deep', '750 1:1 /var/lib/ordinary/data'],
  )
  assert.equal(await lab.shell('cat /var/lib/ordinary/data/log'), 'kept')
})

test('the root is writable, and the network is the host’s', async () => {
  await lab.host.exec(['runc', 'exec', '--user', '0', 'ordinary', 'touch', '/work/file'])
  await lab.inside('ordinary', 'touch', '/tmp/file')
  const network = await lab.inside('ordinary', 'readlink', '/proc/self/ns/net')
  assert.equal(network.trim(), await lab.shell('readlink /proc/self/ns/net'))
})

test('the configuration says what the image says beside its process', async () => {
  const configuration = JSON.parse(await lab.shell('cat /var/lib/forerun/containers/ordinary/config.json'))
  assert.equal(configuration.annotations['org.opencontainers.image.stopSignal'], 'SIGQUIT')
  assert.equal(configuration.annotations['org.opencontainers.image.exposedPorts'], '8080/tcp')
  assert.equal(configuration.linux.cgroupsPath, '/system.slice/ordinary.service/payload')
})

test('the unit’s main process is the container’s own, and no runtime process stays', async () => {
  const pid = await lab.property('ordinary', 'MainPID')
  assert.match(await lab.shell(`tr '\\0' ' ' </proc/${pid}/cmdline`), /^sh -c/)
  assert.equal(await lab.shell('pidof runc || true'), '')
})

test('the unit is ordered before the container daemons', async () => {
  const after = await lab.property('containerd', 'After')
  assert.ok(after.split(' ').includes('ordinary.service'), after)
  await lab.host.reboot()
  const up = Number(await lab.property('ordinary', 'ActiveEnterTimestampMonotonic'))
  const containerd = Number(await lab.property('containerd', 'InactiveExitTimestampMonotonic'))
  assert.ok(up > 0 && up <= containerd, `ordinary ${up}, containerd ${containerd}`)
  await until('it has written again', async () => (await lab.shell('cat /var/lib/ordinary/data/log')) === 'kept\nkept')
})

test('stopping sends the image’s stop signal', async () => {
  await lab.must('stop', 'ordinary')
  assert.match(await journal(), /got QUIT/)
  assert.doesNotMatch(await journal(), /got TERM/)
  assert.deepEqual(
    [await lab.property('ordinary', 'ActiveState'), await lab.property('ordinary', 'Result')],
    ['inactive', 'success'],
  )
  assert.equal(await lab.shell('ls -A /run/runc'), '')
})

test('uninstalling keeps the volume that holds something, and removes the empty one', async () => {
  const { stderr } = await lab.must('uninstall', 'ordinary')
  assert.match(stderr, /^Kept \/var\/lib\/ordinary\/data, which is not empty\.$/m)
  assert.doesNotMatch(stderr, /cache/)
  await lab.shell('rm -r /var/lib/ordinary/data && rmdir /var/lib/ordinary')
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('an image with neither entrypoint nor command, or with an unknown user, is refused', async () => {
  const cases = {
    mute: [busyboxImage(), /neither entrypoint nor cmd/],
    nobodys: [busyboxImage({ entrypoint: ['true'], config: { User: 'stranger' } }), /user 'stranger'/],
  } as const
  for (const [name, [image, message]] of Object.entries(cases)) {
    const { status, stderr } = await lab.forerun('install', await lab.push(name, image))
    assert.equal(status, 1)
    assert.match(stderr, message)
  }
  assert.deepEqual(changesSince(untouched, lab), [])
})

function journal(): Promise<string> {
  return lab.shell('journalctl -b -u ordinary -o cat --no-pager')
}

/** Process 1 of a container takes no signal that it does not ask for. */
const resting = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

const { EPERM, ENOSYS, EAFNOSUPPORT } = constants.errno

/** Tells the error of each call as JSON; 0 for those that succeed. Numbers of calls are those of x86-64 and arm64. */
const calls = String.raw`
my ($clone, $keyctl, $personality) = qx(uname -m) =~ /aarch64/ ? (220, 219, 92) : (56, 250, 135);
my $child = 17;
sub told { my $result = shift; return $result == -1 ? $! + 0 : 0 }
sub cloned { my $id = syscall($clone, $_[0] | $child, 0, 0, 0, 0); exit if $id == 0; return told($id) }
my @outcomes = (
  'clone with a mount namespace' => cloned(0x00020000),
  'clone with user and process namespaces' => cloned(0x30000000),
  'clone of a process' => cloned(0),
  clone3 => told(syscall(435, 0, 0)),
  io_uring_setup => told(syscall(425, 1, 0)),
  'a call of tomorrow' => told(syscall(4000)),
  keyctl => told(syscall($keyctl, 0, 0, 0, 0, 0)),
  'a socket of the virtual machine' => (socket(my $v, 40, 1, 0) ? 0 : $! + 0),
  'a socket of the network' => (socket(my $n, 2, 1, 0) ? 0 : $! + 0),
  'an unusual personality' => told(syscall($personality, 0x0040000)),
);
my @pairs;
while (my ($name, $error) = splice @outcomes, 0, 2) { push @pairs, "\"$name\": $error" }
print '{' . join(', ', @pairs) . '}';
`

test('system calls are filtered, and processes gain no privileges but where the image has programs for that', async () => {
  const image = await lab.push('filtered', busyboxImage({ entrypoint: resting }))
  const { stderr } = await lab.must('install', '--now', image)
  assert.doesNotMatch(stderr, /noNewPrivileges/)
  const status = await lab.inside('filtered', 'cat', '/proc/1/status')
  assert.match(status, /^Seccomp:\t2$/m)
  assert.match(status, /^NoNewPrivs:\t1$/m)
  const refused = await lab.inside('filtered', 'sh', '-c', 'unshare -m true 2>&1; mount -t tmpfs x /mnt 2>&1; true')
  assert.match(refused, /unshare.*Operation not permitted/)

  const rootfs = '/var/lib/forerun/containers/filtered/rootfs'
  await lab.shell(`cp -L --parents /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*') ${rootfs}`)
  assert.deepEqual(JSON.parse(await lab.inside('filtered', '/usr/bin/perl', '-e', calls)), {
    'clone with a mount namespace': EPERM,
    'clone with user and process namespaces': EPERM,
    'clone of a process': 0,
    clone3: ENOSYS,
    io_uring_setup: ENOSYS,
    'a call of tomorrow': ENOSYS,
    keyctl: EPERM,
    'a socket of the virtual machine': EAFNOSUPPORT,
    'a socket of the network': 0,
    'an unusual personality': ENOSYS,
  })
  await lab.must('uninstall', 'filtered')

  const layers = [{ 'bin/gain': { content: '#!/bin/sh\n', mode: 0o4755 } }]
  const privileged = await lab.push('gaining', busyboxImage({ entrypoint: resting, layers }))
  const told = await lab.must('install', '--now', privileged)
  assert.match(told.stderr, /noNewPrivileges is off\), since the image has programs for that: \/bin\/gain$/m)
  assert.match(await lab.inside('gaining', 'cat', '/proc/1/status'), /^NoNewPrivs:\t0$/m)
  await lab.must('uninstall', 'gaining')
})

test('a tree of --rootfs with file capabilities lets its processes gain them', async () => {
  const image = await lab.push('capable', busyboxImage({ entrypoint: resting }))
  await lab.must('install', '--name', 'base', image)
  const tree = '/var/lib/tree'
  await lab.shell(`cp -a /var/lib/forerun/containers/base/rootfs ${tree}; cp ${tree}/bin/busybox ${tree}/bin/ping-own`)
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
  const program = Buffer.from(`${lab.host.root}${tree}/bin/ping-own`)
  setExtendedAttribute(program, Buffer.from('security.capability'), capability)
  const { stderr } = await lab.must('install', '--name', 'treed', '--rootfs', tree, image)
  assert.match(stderr, /noNewPrivileges is off\), since the image has programs for that: \/bin\/ping-own$/m)
  await lab.must('uninstall', 'treed')
  await lab.must('uninstall', 'base')
  await lab.shell(`rm -r ${tree}`)
})

test("the profile of the host's container engines is used where there is one, and no one that others may change", async () => {
  const image = await lab.push('profiled', busyboxImage({ entrypoint: resting }))
  const file = '/usr/share/containers/seccomp.json'
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }],
  }
  await lab.shell(`mkdir -p /usr/share/containers; echo '${JSON.stringify(profile)}' >${file}`)
  try {
    await lab.must('install', '--now', image)
    assert.match(await lab.inside('profiled', 'sh', '-c', 'mkdir /tmp/x 2>&1; true'), /Operation not permitted/)
    await lab.must('uninstall', 'profiled')
    await lab.shell(`chmod 666 ${file}`)
    const { status, stderr } = await lab.forerun('install', image)
    assert.equal(status, 1)
    assert.match(stderr, /seccomp\.json is not used, since others than root may change it/)
    const own = await lab.push('own', busyboxImage({ exports: serviceExports(['sleep', 'infinity']) }))
    await lab.must('install', own)
    await lab.must('uninstall', 'own')
  } finally {
    await lab.shell('rm -r /usr/share/containers')
  }
})
