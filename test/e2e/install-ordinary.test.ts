import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { busyboxImage } from '../lab/busybox.ts'
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

const resting = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

test('system calls are filtered, and processes gain no privileges but where the image has programs for that', async () => {
  const image = await lab.push('filtered', busyboxImage({ entrypoint: resting }))
  const { stderr } = await lab.must('install', '--now', image)
  assert.doesNotMatch(stderr, /noNewPrivileges/)
  const status = await lab.inside('filtered', 'cat', '/proc/1/status')
  assert.match(status, /^Seccomp:\t2$/m)
  assert.match(status, /^NoNewPrivs:\t1$/m)
  const refused = await lab.inside('filtered', 'sh', '-c', 'unshare -m true 2>&1; mount -t tmpfs x /mnt 2>&1; true')
  assert.match(refused, /unshare.*Operation not permitted/)
  await lab.must('uninstall', 'filtered')

  const layers = [{ 'bin/gain': { content: '#!/bin/sh\n', mode: 0o4755 } }]
  const privileged = await lab.push('gaining', busyboxImage({ entrypoint: resting, layers }))
  const told = await lab.must('install', '--now', privileged)
  assert.match(told.stderr, /noNewPrivileges is off\), since the image has programs for that: \/bin\/gain$/m)
  assert.match(await lab.inside('gaining', 'cat', '/proc/1/status'), /^NoNewPrivs:\t0$/m)
  await lab.must('uninstall', 'gaining')
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
  } finally {
    await lab.shell('rm -r /usr/share/containers')
  }
})
