import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Commands in containers of their own: of images that are run once, and of containers whose service is stopped. */
let lab: InstalledHost
let job: string
let tools: string

before(async () => {
  // An overlay lies on no other overlay, which the root of the host is.
  lab = await installedHost({ settle: 0.5, disks: { '/var/lib/forerun': 'tmpfs' } })
  const exports = {
    'config.json.template': serviceExports(['sh', '-c', 'echo $$WORD by $$BY; exit 3'], {
      env: ['WORD=$WORD', 'BY=$NAME'],
    })['config.json.template'],
    'manifest.json': { version: '1.0', defaultValues: { WORD: 'default' } },
    hostfs: { '/etc/job.conf': 'for the host\n' },
  }
  job = await lab.push('job', busyboxImage({ exports, labels: { 'Atomic.Run': 'once' } }))
  tools = await lab.push(
    'tools',
    busyboxImage({ cmd: ['echo', 'own command'], config: { Volumes: { '/var/data': {} } } }),
  )
  await lab.must('pull', job)
  await lab.must('pull', tools)
})

after(() => lab[Symbol.asyncDispose]())

/** What a container could leave on a host, beside files. */
async function traces(): Promise<string> {
  return await lab.shell(
    [
      'findmnt --list --noheadings --output TARGET,FSTYPE | sort',
      'find /sys/fs/cgroup -type d | grep -E "run|payload" | grep -v "user@\\|systemd-" || true',
      'ls -A /var/lib/forerun/containers',
      'runc list --quiet',
      'systemctl list-units --all --plain --no-legend "forerun*"',
    ].join('; '),
  )
}

/** Runs words in the shell of the host's background; resolves with the id of forerun's process when `mark` is in the output. */
async function background(words: string, mark: string): Promise<string> {
  const pid = await lab.shell(`${words} >/run/out 2>&1 </dev/null & echo $!`)
  await until(`${mark} is said`, async () => (await lab.shell('cat /run/out')).includes(mark))
  return pid
}

test('an image labelled atomic.run=once runs when it is installed, with its values, and leaves nothing but itself', async () => {
  const [files, before] = [lab.files(), await traces()]
  const given = await lab.forerun('install', '--system', '--name', 'once', '--set', 'WORD=given', job)
  assert.deepEqual([given.status, given.stdout], [3, 'given by once\n'])
  const plain = await lab.forerun('install', job)
  assert.deepEqual([plain.status, plain.stdout], [3, 'default by job\n'])
  assert.equal(await traces(), before)
  assert.deepEqual(changesSince(files, lab), [])
})

test('run takes an image, or the name of a stored one, with a command, values, input, exit status and a root to write to', async () => {
  const [files, before] = [lab.files(), await traces()]
  assert.equal((await lab.must('run', tools)).stdout, 'own command\n')
  assert.equal(
    (await lab.must('run', 'tools', 'sh', '-c', 'echo x >/var/data; echo x >/new && cat /new')).stdout,
    'x\n',
  )
  assert.equal((await lab.forerun('run', '--set', 'WORD=one', job, 'sh', '-c', 'echo $WORD; exit 7')).stdout, 'one\n')
  assert.equal((await lab.forerun('run', job, 'sh', '-c', 'exit 7')).status, 7)
  assert.equal((await lab.forerun('run', job, 'sh', '-c', 'kill -9 $$; sleep 1; exit 9')).status, 9)
  assert.equal(await lab.shell('echo given | forerun run tools cat'), 'given')
  assert.equal((await lab.forerun('run', 'tools', 'no-such-program')).status, 1)
  assert.equal(await traces(), before)
  assert.deepEqual(changesSince(files, lab), [])
  assert.equal((await lab.must('verify')).status, 0)
})

test('it has a terminal where there is one', async () => {
  const said = await lab.shell(
    'script -qec \'stty rows 33 cols 99; forerun run tools sh -c "tty; stty size"\' /dev/null',
  )
  assert.match(said, /\/dev\/(?:pts\/\d+|console)\r?\n33 99/)
  assert.match(await lab.shell('forerun run tools sh -c "tty || true"'), /not a tty/)
})

for (const [signal, status] of [
  ['TERM', 143],
  ['INT', 130],
  ['HUP', 129],
] as const) {
  test(`SIG${signal} ends a command that does not handle it, and reaches one that does`, async () => {
    const before = await traces()
    const deaf = await background(`sh -c 'forerun run tools sh -c "echo up; exec sleep 60"; echo status $?'`, 'up')
    const started = Date.now()
    await lab.shell(`kill -${signal} $(pgrep -P ${deaf} -f forerun | head -1)`)
    await until('it has ended', async () => (await lab.shell('cat /run/out')).includes(`status ${status}`))
    assert.ok(Date.now() - started < 3000, `${Date.now() - started} ms`)
    const trap = `trap "echo caught; exit 5" ${signal}; echo up; while :; do sleep 0.1; done`
    const hears = await background(
      `sh -c 'forerun run tools sh -c "${trap.replaceAll('"', '\\"')}"; echo status $?'`,
      'up',
    )
    await lab.shell(`kill -${signal} $(pgrep -P ${hears} -f forerun | head -1)`)
    await until('it has ended', async () => /caught\n(?:.*\n)*status 5/.test(await lab.shell('cat /run/out')))
    assert.equal(await traces(), before)
  })
}

test('Ctrl-C at a terminal reaches the command', async () => {
  const trap = 'trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.1; done'
  await lab.shell(`printf '%s' '${trap}' >/srv/trap`)
  const typed =
    '(sleep 3; printf "\\003"; sleep 1) | script -qec "forerun run tools sh -c \\"$(cat /srv/trap | sed s/\\"/\\\\\\\\\\"/g)\\"" /dev/null; echo'
  assert.match(await lab.shell(typed), /up[\s\S]*caught/)
})

test('what a killed command left goes with the next one, and one that runs is let be by others', async () => {
  const before = await traces()
  const live = await background(`forerun run tools sh -c "echo up; sleep 60"`, 'up')
  assert.equal((await lab.must('run', 'tools', 'echo', 'beside')).stdout, 'beside\n')
  await lab.must('images', 'prune')
  const during = await traces()
  assert.match(during, /^tools-run-[0-9a-f]{8}$/m)
  assert.match(during, /^\/sys\/fs\/cgroup\/system\.slice\/forerun-run-\w+\.scope\/payload$/m)
  assert.equal(await lab.shell(`kill -0 ${live}; echo $?`), '0')
  await lab.shell(`kill -KILL ${live}`)
  assert.notEqual(await traces(), before)
  await lab.must('run', 'tools', 'true')
  assert.equal(await traces(), before)
})

test('a command runs in a stopped container, whose root is mounted for it alone', async () => {
  const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
  const app = await lab.push('app', busyboxImage({ exports: serviceExports(loop, { env: ['WORD=$WORD'] }) }))
  const writable = await lab.push('writable', busyboxImage({ entrypoint: loop }))
  await lab.must('install', '--set', 'WORD=set', app)
  await lab.must('install', writable)
  // As it is after a boot that did not start it.
  const mountUnit = 'var-lib-forerun-containers-writable.0-rootfs.mount'
  await lab.shell(`systemctl stop ${mountUnit}`)
  const [files, before] = [lab.files(), await traces()]
  assert.equal((await lab.must('run', 'app', 'sh', '-c', 'echo $WORD; hostname')).stdout, 'set\napp\n')
  assert.match((await lab.forerun('run', 'app', 'touch', '/x')).stderr, /Read-only/)
  await lab.must('run', 'writable', 'sh', '-c', 'echo kept >/kept')
  // More often than systemd would start a unit.
  for (let count = 0; count < 8; count++) {
    assert.equal((await lab.must('run', 'writable', 'cat', '/kept')).stdout, 'kept\n')
  }
  assert.match(await lab.shell("script -qec 'forerun run app tty' /dev/null"), /\/dev\/(?:pts\/\d+|console)/)
  assert.equal((await lab.forerun('run', '--runtime', '/usr/sbin/runc', 'writable', 'sh', '-c', 'exit 4')).status, 4)
  assert.equal(await traces(), before)
  const killed = await background('forerun run writable sh -c "echo up; sleep 60"', 'up')
  await lab.shell(`kill -KILL ${killed}`)
  assert.equal(await lab.property(mountUnit, 'ActiveState'), 'active')
  await lab.must('run', 'app', 'true')
  assert.equal(await traces(), before)
  const first = await background('forerun run writable sh -c "echo up; sleep 3; cat /kept"', 'up')
  await lab.must('run', 'writable', 'true')
  assert.equal(await lab.property(mountUnit, 'ActiveState'), 'active')
  await until('it has ended', async () => (await lab.shell(`kill -0 ${first} 2>/dev/null; echo $?`)) === '1')
  assert.equal(await traces(), before)
  assert.deepEqual(changesSince(files, lab), [])
  assert.equal(await lab.property('app', 'ActiveState'), 'inactive')
  const running = await background('forerun run writable sh -c "echo up; sleep 3; cat /kept"', 'up')
  await lab.must('run', 'writable')
  await until('it has ended', async () => (await lab.shell(`kill -0 ${running} 2>/dev/null; echo $?`)) === '1')
  assert.match(await lab.shell('cat /run/out'), /kept/)
  assert.equal(await lab.property('writable', 'ActiveState'), 'active')
})

test('a name that another has is refused by the runtime, and the other one goes on', async () => {
  const before = await traces()
  const live = await background('forerun run --name one tools sh -c "echo up; sleep 3; echo well"', 'up')
  const second = await lab.forerun('run', '--name', 'one', 'tools', 'true')
  assert.equal(second.status, 1)
  assert.match(second.stderr, /exist/)
  await until('it has ended', async () => (await lab.shell(`kill -0 ${live} 2>/dev/null; echo $?`)) === '1')
  assert.match(await lab.shell('cat /run/out'), /well/)
  assert.equal(await traces(), before)
})

test('what cannot be run is told in one line, and leaves nothing', async () => {
  const mounts = [{ destination: '/data', type: 'bind', source: '/srv/absent', options: ['bind'] }]
  const bound = await lab.push('bound', busyboxImage({ exports: serviceExports(['true'], { mounts }) }))
  await lab.must('pull', bound)
  const before = await traces()
  for (const [words, message] of [
    [['run', 'bound'], "'/srv/absent' is not there for the container to bind"],
    [['run', 'nowhere', 'true'], "there is no container 'nowhere'"],
    [['run', '--set', 'A=b', 'app', 'true'], "--set is for an image, and 'app' is a container"],
    [['run', '--name', 'app', tools, 'true'], "there is a container 'app' already"],
    [['run', '--runtime', '/no/runc', tools, 'true'], 'the runtime /no/runc is not installed'],
    [['install', '--display', job], 'is to be run once (label atomic.run=once), and is no service'],
  ] as const) {
    const { status, stderr } = await lab.forerun(...words)
    assert.notEqual(status, 0)
    assert.ok(stderr.includes(message), stderr)
    assert.match(stderr, /^hint: /m)
  }
  assert.equal(await traces(), before)
})

test('crun of Debian 13 does it, too', async () => {
  const disks = { '/var/lib/forerun': 'tmpfs' } as const
  await using other = await installedHost({ suite: 'trixie', packages: ['crun'], disks })
  const image = await other.push('tools', busyboxImage({ cmd: ['echo', 'own command'] }))
  const crun = ['run', '--runtime', '/usr/bin/crun']
  assert.equal((await other.must(...crun, image)).stdout, 'own command\n')
  assert.equal((await other.forerun(...crun, 'tools', 'sh', '-c', 'exit 7')).status, 7)
  const typed = 'stty rows 33 cols 99; forerun run --runtime crun tools sh -c "tty; stty size"'
  assert.match(await other.shell(`script -qec '${typed}' /dev/null`), /\/dev\/pts\/\d+[\s\S]*33 99/)
  assert.equal(
    await other.shell('timeout --preserve-status -s TERM 2 forerun run --runtime crun tools sleep 60; echo $?'),
    '143',
  )
  await other.shell('timeout -s KILL 2 forerun run --runtime crun tools sleep 60 >/dev/null 2>&1 || true')
  assert.notEqual(await other.shell('crun list -q'), '')
  await other.must(...crun, 'tools', 'true')
  const left = 'crun list -q; ls -A /var/lib/forerun/containers; find /sys/fs/cgroup -name "forerun-run*"'
  assert.equal(await other.shell(left), '')
})
