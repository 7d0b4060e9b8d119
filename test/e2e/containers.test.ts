import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import type { UninstallResult } from '../../src/operations/containers/uninstall.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Containers `up`, `down`, `broken` and `files` on one host; the last tests delete them. */
let lab: InstalledHost
let untouched: Snapshot
let image: string

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  untouched = lab.files()
  image = await lab.push('team/service', busyboxImage({ exports: serviceExports(loop) }))
  const failing = serviceExports(['false'], { service: 'Restart=no' })
  const files = { 'manifest.json': { version: '1.0', noContainerService: true }, hostfs: { '/srv/file': 'text' } }
  await lab.must('install', '--now', '--name', 'up', image)
  await lab.must('install', '--name', 'down', image)
  await lab.must('install', await lab.push('broken', busyboxImage({ exports: failing })))
  assert.equal((await lab.forerun('run', 'broken')).status, 1)
  await lab.must('install', await lab.push('files', busyboxImage({ exports: files })))
  await until('broken has failed', async () => (await lab.property('broken', 'ActiveState')) === 'failed')
})

after(() => lab[Symbol.asyncDispose]())

async function list(...words: string[]): Promise<ContainerRow[]> {
  return (await lab.must<ContainerRow[]>('containers', 'list', '--json', ...words)).json
}

async function names(...words: string[]): Promise<string[]> {
  return (await list(...words)).map(({ container }) => container)
}

test('the list has what runs, and everything with --all, each with its state', async () => {
  assert.deepEqual(await names(), ['up'])
  const rows = await list('--all')
  assert.deepEqual(
    rows.map(({ container, state }) => [container, state]),
    [
      ['broken', 'failed'],
      ['down', 'inactive'],
      ['files', 'no service'],
      ['up', 'running'],
    ],
  )
  const up = rows.at(-1)
  assert.deepEqual(
    [up?.image, up?.command, up?.runtime, up?.backend],
    [`${image}:latest`, loop.join(' '), '/usr/sbin/runc', 'forerun'],
  )
})

test('filters match a part of a value, all of them together', async () => {
  assert.deepEqual(await names('-a', '-f', 'state=in'), ['down', 'up'])
  assert.deepEqual(await names('-a', '-f', 'state=failed'), ['broken'])
  assert.deepEqual(await names('-a', '-f', 'image=team/', '-f', 'container=do'), ['down'])
  assert.deepEqual(await names('-a', '-f', 'command=false'), ['broken'])
  assert.deepEqual(await names('-a', '-f', 'runtime=crun'), [])
  assert.equal((await lab.forerun('containers', 'list', '-f', 'size=1')).status, 2)
})

test('the table has the columns of the old tool; -q has names alone', async () => {
  const { stdout } = await lab.must('containers', 'list', '--all')
  const [heading, ...rows] = stdout.trimEnd().split('\n')
  assert.match(heading ?? '', /^CONTAINER ID\s+IMAGE\s+COMMAND\s+CREATED\s+STATE\s+BACKEND\s+RUNTIME/)
  assert.equal(rows.length, 4)
  assert.equal((await lab.must('containers', 'list', '-a', '-n', '-q')).stdout, 'broken\ndown\nfiles\nup\n')
  assert.match((await lab.must('containers', 'list', '--no-trunc')).stdout, /sleep infinity & wait/)
})

test('run starts a service and waits, stop stops it and waits; either may be repeated', async () => {
  for (const verb of ['run', 'run'] as const) {
    await lab.must(verb, 'down')
    assert.equal(await lab.property('down', 'ActiveState'), 'active')
  }
  await lab.inside('down', 'true')
  for (const verb of ['stop', 'stop'] as const) {
    await lab.must(verb, 'down')
    assert.equal(await lab.property('down', 'ActiveState'), 'inactive')
  }
  const { status, stderr } = await lab.forerun('run', 'nothing')
  assert.equal(status, 1)
  assert.match(stderr, /there is no container 'nothing'/)
})

test('two installations at once are made one after the other', async () => {
  const commands = ['one', 'two', 'three'].map((name) => lab.must('install', '--now', '--name', name, image))
  const results = await Promise.all(commands)
  assert.ok(
    results.some(({ stderr }) =>
      /Waiting for 'forerun install (?:one|two|three)' \(process \d+\), which began \d+ s ago\./.test(stderr),
    ),
  )
  assert.deepEqual(await names('-f', 'image=team'), ['one', 'three', 'two', 'up'])
  await lab.must('containers', 'delete', 'one', 'two', 'three')
})

test('a command that waits for the lock is ended by Ctrl-C', async () => {
  // A ticket whose file is locked, as a pull has one for as long as it lasts.
  const ticket = '/run/forerun/store.lock/1'
  await lab.shell(`echo 'x{"process":1,"operation":"pull x","since":0}' >${ticket}`)
  const holder = lab.host.start(['flock', ticket, 'sleep', '60'], { check: false })
  const held = async () => (await lab.host.exec(['flock', '-n', ticket, 'true'], { check: false })).status !== 0
  await until('it is held', held)
  const waiting = lab.host.start(['forerun', 'images', 'prune'], { check: false })
  // It says that it waits.
  await new Promise((resolve) => waiting.child.stderr?.once('data', resolve))
  waiting.signal('SIGINT')
  const { status, stderr } = await waiting.finished
  holder.signal('SIGKILL')
  await holder.finished
  assert.equal(status, 130)
  assert.match(stderr, /^Waiting for 'forerun pull x'.*\nforerun: interrupted/)
})

test('the second of two equal installations finds the container there', async () => {
  const results = await Promise.all([1, 2].map(() => lab.must('install', '--name', 'same', image)))
  assert.deepEqual(results.filter(({ stdout }) => stdout === 'same already present\n').length, 1)
  await lab.must('uninstall', 'same')
})

test('deleting needs names, or --all with --force; an unknown name keeps them all', async () => {
  for (const words of [[], ['--all'], ['--all', '--force', 'up']]) {
    assert.equal((await lab.forerun('containers', 'delete', ...words)).status, 2, words.join(' '))
  }
  const { status, stderr } = await lab.forerun('containers', 'delete', 'up', 'unknown')
  assert.equal(status, 1)
  assert.match(stderr, /there is no container 'unknown'/)
  assert.equal(await lab.property('up', 'ActiveState'), 'active')
})

test('deleting several removes all that they brought', async () => {
  const { json } = await lab.must<UninstallResult[]>('containers', 'delete', '--json', 'up', 'broken')
  assert.deepEqual(json, [
    { name: 'up', kept: [] },
    { name: 'broken', kept: [] },
  ])
  const { stdout } = await lab.must('containers', 'delete', '-a', '-f')
  assert.equal(stdout, 'down\nfiles\n')
  assert.deepEqual(changesSince(untouched, lab), [])
  assert.deepEqual(await list('--all'), [])
  assert.equal(await lab.shell('systemctl list-units --failed --no-legend; ls /run/runc'), '')
  assert.equal((await lab.must('containers', 'delete', '-a', '-f')).stdout, '')
})
