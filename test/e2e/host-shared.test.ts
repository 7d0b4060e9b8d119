import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** What containers share with each other and with the host: names, units, files, mounts, locks. */
let lab: InstalledHost
let untouched: Snapshot
let plain: string

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  plain = await lab.push('plain', busyboxImage({ exports: serviceExports(loop) }))
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

test('a name that a unit of the host has is refused, wherever its file lies', async () => {
  await lab.shell(
    'systemctl stop containerd; mkdir -p /run/systemd/system; cp /lib/systemd/system/emergency.service /run/systemd/system/transient.service; systemctl daemon-reload',
  )
  for (const name of ['containerd', 'emergency', 'systemd-reboot', 'transient']) {
    const { status, stderr } = await lab.forerun('install', '--name', name, plain)
    assert.equal(status, 1, name)
    assert.match(stderr, new RegExp(`the host has a unit ${name}\\.service of its own: /.*\\n.*--override-unit`))
    assert.deepEqual(
      changesSince(untouched, lab).filter((line) => !line.includes('/run/')),
      [],
    )
  }
  await lab.shell('rm /run/systemd/system/transient.service; systemctl daemon-reload; systemctl start containerd')
})

test('with --override-unit it takes the place, and the unit of the host is enabled again when it goes', async () => {
  const state = async () => [
    await lab.property('containerd', 'UnitFileState'),
    await lab.property('containerd', 'FragmentPath'),
  ]
  const before = await state()
  assert.equal(before[0], 'enabled')
  await lab.shell('systemctl stop containerd')
  await lab.must('install', '--name', 'containerd', '--override-unit', plain)
  assert.deepEqual(await state(), ['enabled', '/etc/systemd/system/containerd.service'])
  await lab.must('uninstall', 'containerd')
  assert.deepEqual(await state(), before)
  await lab.shell('systemctl start containerd')
})

test('a slot of another container is no name, and container.0 is one', async () => {
  await lab.must('install', '--name', 'a', plain)
  for (const name of ['a.0', 'a.1']) {
    const { status, stderr } = await lab.forerun('install', '--name', name, plain)
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`'${name}' is what a deployment of the container 'a' is called`))
  }
  await lab.must('uninstall', 'a')
  await lab.must('install', '--name', 'a.1', plain)
  assert.equal((await lab.forerun('install', '--name', 'a', plain)).status, 1)
  await lab.must('uninstall', 'a.1')
  await lab.must('install', '--name', 'container.0', plain)
  await lab.must('uninstall', 'container.0')
})

test('what Also= enables goes with the unit, and when the installation fails', async () => {
  const service = serviceExports(loop, { service: 'Type=exec' })
  const unit = service['service.template'].replace(
    'WantedBy=multi-user.target',
    'WantedBy=multi-user.target\nAlso=waker.timer',
  )
  const hostfs = {
    '/etc/systemd/system/waker.timer': '[Timer]\nOnBootSec=1h\n[Install]\nWantedBy=timers.target\n',
    '/etc/systemd/system/waker.service': '[Service]\nType=oneshot\nExecStart=/bin/true\n',
  }
  const image = (args: string[]) =>
    busyboxImage({ exports: { ...serviceExports(args), 'service.template': unit, hostfs } })
  await lab.must('install', await lab.push('also', image(loop)))
  assert.equal(await lab.property('waker.timer', 'UnitFileState'), 'enabled')
  await lab.must('uninstall', 'also')
  assert.deepEqual(changesSince(untouched, lab), [])
  const failing = await lab.push('alsofails', image(['/nothing-there']))
  assert.equal((await lab.forerun('install', '--now', failing)).status, 1)
})

test('a unit without [Install] is not said to start at a boot', async () => {
  const unit = '[Service]\nExecStart=$EXEC_START\nWorkingDirectory=$DESTDIR\n'
  const image = await lab.push(
    'manual',
    busyboxImage({ exports: { ...serviceExports(loop), 'service.template': unit } }),
  )
  const { stdout } = await lab.must('install', image)
  assert.match(stdout, /No boot starts it/)
  assert.doesNotMatch(stdout, /next boot/)
})

test('host files that several containers bring stay until the last of them goes', async () => {
  const hostfs = { '/etc/kubernetes/config': 'shared\n', '/etc/kubernetes/link': { target: 'config' } }
  for (const name of ['one', 'two', 'three']) {
    const own = { [`/etc/kubernetes/${name}`]: name }
    await lab.must(
      'install',
      await lab.push(name, busyboxImage({ exports: { ...serviceExports(loop), hostfs: { ...hostfs, ...own } } })),
    )
  }
  for (const name of ['one', 'three']) {
    const { stderr } = await lab.must('uninstall', name)
    assert.doesNotMatch(stderr, /Kept|Will not delete/)
    assert.equal(await lab.shell('cat /etc/kubernetes/link'), 'shared')
  }
  await lab.must('uninstall', 'two')
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('lines for removal are followed when a container goes, and a file of the host is not masked', async () => {
  await lab.shell('mkdir -p /usr/lib/tmpfiles.d; echo "d /run/of-the-host" >/usr/lib/tmpfiles.d/lines.conf')
  const exports = {
    ...serviceExports(loop),
    'tmpfiles.template': 'd /run/lines 0755 - - -\nr! /run/never\nr /run/lines-file\nR /run/lines\n',
  }
  await lab.must('install', await lab.push('lines', busyboxImage({ exports })))
  assert.equal(await lab.shell('ls /etc/tmpfiles.d'), 'container-lines.conf')
  await lab.shell('touch /run/lines-file /run/never; mkdir /run/lines/deep')
  await lab.must('uninstall', 'lines')
  assert.equal(await lab.shell('ls -d /run/lines* /run/never 2>/dev/null || true'), '/run/never')
  await lab.shell('rm /usr/lib/tmpfiles.d/lines.conf /run/never')
})

test('what is mounted beneath a deployment is neither touched nor in the way of the next commands', async () => {
  await lab.must('install', '--name', 'mounted', plain)
  const point = '/var/lib/forerun/containers/mounted.0/data'
  await lab.shell(`mkdir /srv/data ${point}; echo precious >/srv/data/file; mount --bind /srv/data ${point}`)
  const { stderr } = await lab.must('uninstall', 'mounted')
  assert.match(stderr, /stays: '.*\/data' is mounted in it/)
  await lab.must('install', '--name', 'next', plain)
  await lab.must('uninstall', 'next')
  assert.equal(await lab.shell('cat /srv/data/file'), 'precious')
  await lab.shell('umount /var/lib/forerun/containers/.forerun-*/data')
  await lab.must('images', 'prune')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers'), '')
  await lab.shell('rm -r /srv/data')
})

test('a list beside installing and uninstalling tells of a container whole or not at all', async () => {
  const busy = (async () => {
    for (let round = 0; round < 4; round++) {
      await lab.must('install', '--name', 'flicker', plain)
      await lab.must('uninstall', 'flicker')
    }
  })()
  let done = false
  void busy.finally(() => {
    done = true
  })
  const seen = new Set<number>()
  try {
    while (!done) {
      const { json, stderr } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
      seen.add(json.length)
      assert.equal(stderr, '')
      assert.ok(
        json.every(({ container, image }) => container === 'flicker' && image !== ''),
        JSON.stringify(json),
      )
    }
  } finally {
    await busy
  }
  assert.ok(seen.size > 0)
})

test('a damaged deployment is told of and hides no other container', async () => {
  await lab.must('install', '--name', 'whole', plain)
  await lab.must('install', '--name', 'broken', plain)
  const folder = '/var/lib/forerun/containers/broken.0'
  await lab.shell(`cp ${folder}/info /srv/info; cp ${folder}/config.json /srv/; echo '{' >${folder}/config.json`)
  const listed = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  assert.deepEqual(
    listed.json.map(({ container }) => container),
    ['broken', 'whole'],
  )
  await lab.shell(`echo '{' >${folder}/info`)
  const damaged = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  assert.deepEqual(
    damaged.json.map(({ container, state }) => `${container} ${state}`),
    ['broken damaged', 'whole inactive'],
  )
  assert.match(damaged.stderr, /broken: the file '.*\/info' is damaged or missing/)
  await lab.must('uninstall', 'whole')
  await lab.shell(`mv /srv/info ${folder}/info; mv /srv/config.json ${folder}/config.json`)
})

test('a command that holds the store does not keep a container from being removed', async () => {
  await lab.must('install', '--name', 'goes', plain)
  // As a pull does for as long as it lasts: a ticket whose file is locked.
  const ticket = '/run/forerun/store.lock/1'
  await lab.shell(`echo 'x{"process":1,"operation":"pull x","since":0}' >${ticket}`)
  const holder = lab.host.start(['flock', ticket, 'sleep', '60'], { check: false })
  const held = async () => (await lab.host.exec(['flock', '-n', ticket, 'true'], { check: false })).status !== 0
  await until('the store is locked', held)
  await lab.must('uninstall', 'goes')
  const waiting = lab.forerun('images', 'prune')
  await until('the prune waits', async () => (await lab.shell('ls /run/forerun/store.lock')).includes('2'))
  holder.signal('SIGKILL')
  await holder.finished
  const { status, stderr } = await waiting
  assert.equal(status, 0, stderr)
  assert.match(stderr, /^Waiting for 'forerun pull x' \(process 1\), which began \d+ s ago\.$/m)
})
