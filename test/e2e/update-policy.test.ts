import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import type { UpdateSettingsResult } from '../../src/operations/containers/change-update-settings.ts'
import type { UpdateCheck } from '../../src/operations/containers/check-updates.ts'
import type { DownloadResult } from '../../src/operations/containers/download-updates.ts'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import type { UpdateResult } from '../../src/operations/containers/update.ts'
import { messageIds } from '../../src/operations/update-journal.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Updates that happen by themselves, and those that must not. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost({ settle: 1, disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers'), '')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

let tests = 0
beforeEach(() => {
  tests++
})

function push(tag: string, version = tag, argv = loop): Promise<string> {
  const exports = serviceExports(argv, { service: 'Restart=no' })
  return lab.push(`test-${tests}/app:${tag}`, busyboxImage({ layers: [{ version: `${version}\n` }], exports }))
}

const version = (name = 'app') => lab.inside(name, 'cat', '/version')

async function row(name = 'app'): Promise<ContainerRow | undefined> {
  const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  return json.find(({ container }) => container === name)
}

/** What the journal has of a container by a message id, newest last. */
async function journal(id: string, container = 'app'): Promise<Record<string, string>[]> {
  const lines = await lab.shell(`journalctl --sync; journalctl -o json MESSAGE_ID=${id} FORERUN_CONTAINER=${container}`)
  return lines
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

test('a pinned container is left as it is, whatever is asked for but other values, until it is unpinned', async () => {
  const image = await push('latest', '1')
  await lab.must('install', '--now', '--name', 'app', image)
  await lab.must('containers', 'pin', 'app')
  assert.equal((await row())?.pinned, true)
  assert.match((await lab.must('containers', 'list', '--all')).stdout, /running \(pinned\)/)
  assert.match((await lab.must('containers', 'info', 'app')).stdout, /^Updates: +tag, pinned$/m)
  await push('latest', '2')
  const all = (await lab.must<UpdateResult[]>('update', '--all', '--json')).json
  assert.deepEqual(
    all.map((each) => [each.name, each.outcome, 'reason' in each && each.reason]),
    [['app', 'left', 'it is pinned']],
  )
  for (const words of [['app'], ['--rebase', image, 'app']]) {
    const { status, stderr } = await lab.forerun('update', ...words)
    assert.equal(status, 1)
    assert.match(stderr, /app is pinned/)
    assert.match(stderr, /forerun containers unpin app/)
  }
  assert.equal((await lab.must<UpdateCheck[]>('update', '--check', '--json', 'app')).json[0]?.outcome, 'left')
  assert.equal(
    (await lab.must<DownloadResult[]>('update', '--download-only', '--all', '--json')).json[0]?.outcome,
    'left',
  )
  // The name of its image now means the next one.
  await lab.must('pull', image)
  await lab.must('update', '--set', 'X=y', 'app')
  assert.equal(await version(), '1\n')
  await lab.must('rollback', 'app')
  assert.equal((await row())?.pinned, true)
  assert.ok((await journal(messageIds.left)).length > 0)

  await lab.must('containers', 'unpin', 'app')
  assert.equal((await row())?.pinned, false)
  await lab.must('update', 'app')
  assert.equal(await version(), '2\n')
  assert.equal((await lab.forerun('containers', 'pin', 'app', 'absent')).status, 1)
  assert.equal((await row())?.pinned, false)
})

test('a policy takes a container to the best tag, which --check tells, and rollback and uninstall know of', async () => {
  const image = await push('3.5.1')
  for (const tag of ['3.5.2', '3.5.10', '3.5.11-rc.1', '3.5.12-alpine', '3.6.0', '4.0.0']) await push(tag)
  await lab.must('install', '--now', '--name', 'app', '--update-policy', 'patch', image)
  const [found] = (await lab.forerun<UpdateCheck[]>('update', '--check', '--all', '--json')).json
  assert.ok(found?.outcome === 'available' && found.target.endsWith('/app:3.5.10'))
  await lab.must('update', '--all')
  assert.equal(await version(), '3.5.10\n')
  assert.match((await row())?.image ?? '', /:3\.5\.10$/)
  assert.match((await lab.must('update', 'app')).stdout, /Latest version already installed/)
  await lab.must('rollback', 'app')
  assert.deepEqual([await version(), (await row())?.updatePolicy], ['3.5.1\n', 'patch'])

  const policy = async (...words: string[]) =>
    (await lab.must<UpdateSettingsResult>('containers', 'policy', '--json', 'app', ...words)).json.updatePolicy
  assert.equal(await policy('>=3.5 <4'), '>=3.5 <4')
  assert.equal(await policy(), '>=3.5 <4')
  await lab.must('update', 'app')
  assert.equal(await version(), '3.6.0\n')
  const [updated] = (await journal(messageIds.updated)).slice(-1)
  assert.match(updated?.FORERUN_IMAGE ?? '', /:3\.6\.0$/)
  assert.equal(updated?.PRIORITY, '5')
  assert.ok(updated?.FORERUN_FROM?.startsWith('sha256:') && updated.FORERUN_FROM !== updated.FORERUN_TO)
  await policy('tag')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers | grep update || true'), '')
  assert.equal((await lab.forerun('containers', 'policy', 'app', 'weekly')).status, 2)
})

test('a policy that does not fit is refused before anything is made', async () => {
  const image = await push('latest', '1')
  const refused = await lab.forerun('install', '--update-policy', 'patch', image)
  assert.equal(refused.status, 2)
  assert.match(refused.stderr, /the tag 'latest' tells no version/)
  await lab.must('install', '--name', 'app', image)
  assert.equal((await lab.forerun('containers', 'policy', 'app', 'minor')).status, 2)
  await lab.must('containers', 'policy', 'app', '~3.5')
  await push('3.5.7')
  await lab.must('update', 'app')
  assert.match((await row())?.image ?? '', /:3\.5\.7$/)
})

test('what was downloaded is taken while the registry is gone, by tag and by policy', async () => {
  const image = await push('1.0.0')
  await lab.must('install', '--now', '--name', 'app', '--update-policy', 'minor', image)
  const same = await push('latest', '1')
  await lab.must('install', '--now', '--name', 'same', same)
  await push('1.1.0')
  await push('latest', '2')
  const downloaded = (await lab.must<DownloadResult[]>('update', '--download-only', '--all', '--json')).json
  assert.deepEqual(
    downloaded.map(({ name, outcome }) => [name, outcome]),
    [
      ['app', 'downloaded'],
      ['same', 'downloaded'],
    ],
  )
  assert.deepEqual([await version(), await version('same')], ['1.0.0\n', '1\n'])
  await lab.registry.stop()
  const updated = (await lab.must<UpdateResult[]>('update', '--all', '--json')).json
  assert.deepEqual(
    updated.map(({ outcome }) => outcome),
    ['updated', 'updated'],
  )
  assert.deepEqual([await version(), await version('same')], ['1.1.0\n', '2\n'])
  // There is nothing more of it.
  const failed = (await journal(messageIds.failed)).length
  assert.equal((await lab.forerun('update', '--all')).status, 1)
  await lab.registry.start()
  assert.equal((await journal(messageIds.failed)).length, failed + 1)
  assert.equal((await lab.forerun('update', '--download-only', '--check', 'app')).status, 2)
})

test('the timer is shipped, is not enabled, and its service keeps to the window', async () => {
  const image = await push('latest', '1')
  await lab.must('install', '--now', '--name', 'app', image)
  assert.equal(await lab.shell('systemctl is-enabled forerun-update.timer 2>/dev/null || true'), '')
  await lab.shell(
    'systemctl link /usr/lib/forerun/systemd/forerun-update.service /usr/lib/forerun/systemd/forerun-update.timer',
  )
  assert.equal(await lab.shell('systemd-analyze verify --man=no forerun-update.service forerun-update.timer 2>&1'), '')
  await lab.shell('systemctl enable --now forerun-update.timer')
  assert.notEqual(await lab.property('forerun-update.timer', 'NextElapseUSecRealtime'), '')
  await lab.shell('systemctl disable --now forerun-update.timer')
  await push('latest', '2')
  const window = (days: string) =>
    lab.shell(`printf '[update]\\nwindow = ${days} 00:00-24:00\\n' >/etc/forerun/forerun.conf.d/window.conf`)
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
  const today = days.indexOf(await lab.shell('LC_ALL=C date +%a'))
  await window(`${days[(today + 2) % 7]}..${days[(today + 5) % 7]}`)
  const since = await lab.shell('date +%s')
  await lab.shell('systemctl start forerun-update.service')
  assert.equal(await version(), '1\n')
  const said = await lab.shell(`journalctl --sync; journalctl -o cat -u forerun-update.service --since @${since}`)
  assert.match(said, /outside of the update window/)
  assert.match(said, /app: downloaded/)
  await window('Mon..Sun')
  await lab.shell('systemctl start forerun-update.service')
  assert.equal(await version(), '2\n')
  assert.equal((await journal(messageIds.updated)).at(-1)?.FORERUN_CONTAINER, 'app')
  await lab.shell(
    'rm /etc/forerun/forerun.conf.d/window.conf; systemctl disable forerun-update.service forerun-update.timer',
  )
  await lab.shell('systemctl daemon-reload; rm -rf /var/lib/systemd/timers')
})

test('what was put back, and a rollback, are in the journal', async () => {
  await lab.must('install', '--now', '--name', 'app', await push('latest', '1'))
  await push('latest', '2', ['sh', '-c', 'exit 1'])
  assert.equal((await lab.forerun('update', 'app')).status, 1)
  const [back] = (await journal(messageIds['put back'])).slice(-1)
  assert.equal(back?.PRIORITY, '4')
  assert.notEqual(back?.FORERUN_FROM, back?.FORERUN_TO)
  await push('latest', '3')
  await lab.must('update', 'app')
  await lab.must('rollback', 'app')
  const [returned] = (await journal(messageIds['rolled back'])).slice(-1)
  assert.equal(returned?.FORERUN_TO, back?.FORERUN_FROM)
})

test('an update that waits for a boot is in the journal when it is judged, and when it is given up', async () => {
  const image = await push('latest', '1')
  await lab.must('install', '--now', '--name', 'app', image)
  await push('latest', '2')
  const told = (await journal(messageIds.updated)).length
  await lab.must('update', '--at-boot', 'app')
  assert.equal((await journal(messageIds.updated)).length, told)
  await lab.must('rollback', 'app')
  assert.match(
    (await journal(messageIds['put back'])).at(-1)?.FORERUN_REASON ?? '',
    /app\.service waited for the next boot/,
  )
  await lab.must('update', '--at-boot', 'app')
  await lab.host.reboot()
  await until('it is judged', async () => (await row())?.trial === null, { seconds: 30 })
  await until('the journal tells', async () => (await journal(messageIds.updated)).at(-1)?.FORERUN_IMAGE === image)
  assert.equal(await version(), '2\n')
})
