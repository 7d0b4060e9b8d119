import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** A service is said to be up only when it is, and stays so. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost()
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

const says = 'open() "/var/log/nginx/error.log" failed (30: Read-only file system)'

/** Each under a tag of its own: an image that is stored already is not pulled again. Systemd alone ends the service. */
function image(name: string, script: string, service = '') {
  const exports = serviceExports(['sh', '-c', script], { service })
  const unit = exports['service.template'].replace(/^ExecStop=.*$/m, '')
  images++
  return lab.push(`${name}:${images}`, busyboxImage({ exports: { ...exports, 'service.template': unit } }))
}

let images = 0

for (const [what, script, service, why] of [
  ['ends at once with an error', `echo '${says}'; exit 1`, 'Type=exec\nRestart=no', /it failed \(exit-code\)/],
  ['ends at once without one', `echo '${says}'`, 'Type=exec\nRestart=no', /it ended by itself/],
  ['is killed', `echo '${says}'; kill -9 $$`, 'Type=exec\nRestart=no', /it failed \((?:signal|exit-code)\)/],
  [
    'is restarted for ever and never counts as failed',
    `echo '${says}'; sleep 0.3; exit 1`,
    'Type=exec\nRestart=always\nRestartSec=100ms\nStartLimitIntervalSec=0',
    /it ended(?: \(exit-code\))?, and systemd starts it again/,
  ],
  [
    'waits long for its restart',
    `echo '${says}'; exit 1`,
    'Type=exec\nRestart=on-failure\nRestartSec=1min',
    /it ended(?: \(exit-code\))?, and systemd starts it again/,
  ],
] as const) {
  test(`a service that ${what} is told with its last words, and nothing of it stays`, async () => {
    const failing = await image('failing', script, service)
    const { status, stdout, stderr } = await lab.forerun('install', '--now', '--name', 'failing', failing)
    assert.equal(status, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /^forerun: failing\.service started and did not stay up: /m)
    assert.match(stderr, why)
    assert.ok(stderr.includes(`    ${says}\n`), stderr)
    assert.match(stderr, /^hint: .*journalctl -u failing\.service/m)
    assert.deepEqual(changesSince(untouched, lab), [])
    assert.equal(await lab.property('failing', 'LoadState'), 'not-found')

    await lab.must('install', '--name', 'failing', failing)
    const run = await lab.forerun('run', 'failing')
    assert.equal(run.status, 1)
    assert.match(run.stderr, why)
    // It is there, as it was installed: only starting it failed.
    assert.equal(await lab.property('failing', 'LoadState'), 'loaded')
  })
}

test('a service in a crash loop is not running for the next run either', async () => {
  const loop = await image('loop', 'exit 3', 'Type=exec\nRestart=always\nRestartSec=1min\nStartLimitIntervalSec=0')
  await lab.must('install', '--name', 'loop', loop)
  assert.equal((await lab.forerun('run', 'loop')).status, 1)
  assert.equal(await lab.property('loop', 'SubState'), 'auto-restart')
  const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  assert.deepEqual([json[0]?.state, json[0]?.detail], ['restarting', 'exit-code'])
  assert.equal((await lab.must('containers', 'list', '--quiet')).stdout, '')
  assert.match((await lab.must('containers', 'list', '--all')).stdout, / restarting \(exit-code\) /)
  assert.equal((await lab.forerun('run', 'loop')).status, 1)
})

test('an error of a start is JSON with the last words among its details', async () => {
  const failing = await image('failing', `echo '${says}'; exit 1`, 'Type=exec')
  const { status, json } = await lab.forerun<{ error: { code: string; details: string[] } }>(
    'install',
    '--now',
    '--json',
    failing,
  )
  assert.equal(status, 1)
  assert.equal(json.error.code, 'systemd')
  assert.ok(json.error.details.includes(says))
})

test('a service that does its work and ends is up when its type says so', async () => {
  const once = await image('once', 'true', 'Type=oneshot\nRestart=no')
  await lab.must('install', '--now', '--name', 'once', once)
  await lab.must('run', 'once')
})

test('a service that runs is up, and the time that it has to stay so is a setting', async () => {
  await lab.shell('mkdir -p /etc/forerun && printf "[service]\\nsettle = 5\\n" >/etc/forerun/forerun.conf')
  try {
    const late = await image('late', 'sleep 3; exit 1', 'Type=exec')
    assert.equal((await lab.forerun('install', '--now', late)).status, 1)
    await lab.must('install', '--now', await image('runs', 'trap "exit 0" TERM; sleep infinity & wait', 'Type=exec'))
  } finally {
    await lab.shell('rm -r /etc/forerun')
  }
})
