import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { UninstallResult } from '../../src/operations/containers/uninstall.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

let lab: InstalledHost
let untouched: Snapshot
let image: string

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  const hostfs = {
    '/srv/first': 'first',
    '/srv/second': 'second',
    '/srv/folder/third': 'third',
    '/srv/folder/link': { target: 'third' },
  }
  const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
  image = await lab.push('tidy', busyboxImage({ exports: { ...serviceExports(loop), hostfs } }))
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  await lab.shell('rm -rf /srv/*')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

test('host files that were changed since are kept and told of, with the directories that hold them', async () => {
  await lab.must('install', '--now', image)
  await lab.shell('echo more >>/srv/first; ln -sfn elsewhere /srv/folder/link; rm /srv/second; mkdir /srv/second')
  const { json, stderr } = await lab.must<UninstallResult>('uninstall', '--json', 'tidy')
  const kept = ['/srv/first', '/srv/folder/link', '/srv/second']
  assert.deepEqual([...json.kept].sort(), kept)
  for (const path of kept) assert.ok(stderr.includes(`Will not delete ${path} as it was manually modified.\n`), stderr)
  assert.equal(
    await lab.shell('cd /srv && find . -mindepth 1 | sort | xargs'),
    './first ./folder ./folder/link ./second',
  )
  assert.equal(await lab.shell('cat /srv/first'), 'firstmore')
})

test('host files whose mode or time alone changed are removed', async () => {
  await lab.must('install', image)
  await lab.shell('chmod 600 /srv/first; touch -d 2001-01-01 /srv/second')
  const { json } = await lab.must<UninstallResult>('uninstall', '--json', 'tidy')
  assert.deepEqual(json.kept, [])
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('what somebody has removed by hand is not missed', async () => {
  await lab.must('install', '--now', image)
  await lab.shell('rm -r /srv/folder /srv/first /etc/systemd/system/tidy.service.d')
  await lab.shell('rm /etc/systemd/system/tidy.service && systemctl daemon-reload')
  await lab.must('uninstall', 'tidy')
  assert.deepEqual(changesSince(untouched, lab), [])
  assert.equal(await lab.shell('pidof sleep || true'), '')
})

test('a unit that was disabled, was stopped or was killed goes all the same', async () => {
  for (const state of [
    'systemctl disable tidy',
    'systemctl stop tidy',
    'kill -KILL $(systemctl show --value -p MainPID tidy)',
  ]) {
    await lab.must('install', '--now', image)
    await lab.inside('tidy', 'true')
    await lab.shell(state)
    await lab.must('uninstall', 'tidy')
    assert.deepEqual(changesSince(untouched, lab), [])
    assert.equal(await lab.property('tidy', 'LoadState'), 'not-found')
    assert.equal(await lab.shell('pidof sleep; ls /run/runc || true'), '')
  }
})

test('drop-ins that an administrator added are kept', async () => {
  await lab.must('install', image)
  await lab.shell('printf "[Service]\\nMemoryMax=1G\\n" >/etc/systemd/system/tidy.service.d/50-mine.conf')
  const { stderr } = await lab.must('uninstall', 'tidy')
  assert.match(stderr, /^Kept \/etc\/systemd\/system\/tidy\.service\.d, which is not empty\.$/m)
  assert.equal(await lab.shell('ls /etc/systemd/system/tidy.service.d'), '50-mine.conf')
  await lab.shell('rm -r /etc/systemd/system/tidy.service.d')
})

test('a container that is not there cannot be uninstalled', async () => {
  for (const name of ['tidy', '../tidy', '']) {
    const { status, stderr } = await lab.forerun('uninstall', name)
    assert.equal(status, 1)
    assert.match(stderr, /^forerun: .*\nhint: /)
  }
})

test('the image stays in the store, and installs again without the registry', async () => {
  await lab.must('install', image)
  await lab.must('uninstall', 'tidy')
  await lab.registry.stop()
  await lab.must('install', image)
  await lab.must('uninstall', 'tidy')
  await lab.registry.start()
})
