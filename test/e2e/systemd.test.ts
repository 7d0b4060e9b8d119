import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connectManager, type ManagerOptions } from '../../src/systemd/dbus-manager.ts'
import type { SystemdManager } from '../../src/systemd/manager.ts'
import { applyTmpfiles } from '../../src/systemd/tmpfiles.ts'
import { bootHost, type LabHost } from '../lab/host.ts'
import type { ClientAnswer, ClientRequest } from './systemd-client.ts'

let host: LabHost
/** Of the host's first process, through which its sockets and files are reached from outside. */
let root: string
let unitDir: string

before(async () => {
  host = await bootHost()
  root = `/proc/${host.leader}/root`
  unitDir = join(root, 'etc/systemd/system')
})

after(() => host[Symbol.asyncDispose]())

test('a start waits until a slow oneshot is up, and its state is told', async () => {
  await using manager = await managerWith({
    'slow.service': ['[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1'],
  })
  const began = performance.now()
  await manager.start('slow.service')
  assert.ok(performance.now() - began > 900)
  const { activeState, subState, loadState, fragmentPath } = await manager.status('slow.service')
  assert.deepEqual([activeState, subState, loadState], ['active', 'exited', 'loaded'])
  assert.equal(fragmentPath, '/etc/systemd/system/slow.service')
  await manager.stop('slow.service')
})

test('a running service has its main process, and stopping waits until that is gone', async () => {
  await using manager = await managerWith({
    'runs.service': [
      '[Service]\nType=exec\nExecStart=/bin/sh -c \'trap "sleep 0.5; exit 0" TERM; while :; do sleep 0.1; done\'',
    ],
  })
  await manager.start('runs.service')
  const { mainPid } = await manager.status('runs.service')
  assert.match((await host.exec(['cat', `/proc/${mainPid}/cmdline`])).stdout, /trap/)
  await manager.stop('runs.service')
  assert.notEqual((await host.exec(['test', '-e', `/proc/${mainPid}`], { check: false })).status, 0)
  const stopped = await manager.status('runs.service')
  assert.deepEqual([stopped.activeState, stopped.mainPid], ['inactive', 0])
})

test('a start that fails tells why, and where to read more', async () => {
  await using manager = await managerWith({
    'fails.service': ['[Service]\nType=oneshot\nExecStart=/bin/false'],
    'late.service': ['[Service]\nType=oneshot\nTimeoutStartSec=1\nExecStart=/bin/sleep 60'],
    'mute.service': ['[Unit]\nJobTimeoutSec=1\n[Service]\nType=oneshot\nExecStart=/bin/sleep 60'],
    'needs.service': ['[Unit]\nRequires=fails.service\nAfter=fails.service\n[Service]\nExecStart=/bin/sleep 60'],
    'asserts.service': ['[Unit]\nAssertPathExists=/nonexistent\n[Service]\nExecStart=/bin/sleep 60'],
  })
  const expected = {
    'fails.service': { message: /ended with an error/, hint: /journalctl -u fails\.service/ },
    'late.service': { message: /TimeoutStartSec/, hint: /journalctl -u late\.service/ },
    'mute.service': { message: /time limit for the job/, hint: /journalctl -u mute\.service/ },
    'needs.service': { message: /a unit that it requires failed/, hint: /list-dependencies needs\.service/ },
    'asserts.service': { message: /Assert/, hint: /systemctl status asserts\.service/ },
  }
  for (const [unit, { message, hint }] of Object.entries(expected)) {
    await assert.rejects(manager.start(unit), { name: 'ForerunError', code: 'systemd', message, hint })
  }
  assert.equal((await manager.status('fails.service')).activeState, 'failed')
  await manager.resetFailed('fails.service')
  assert.equal((await manager.status('fails.service')).activeState, 'inactive')
  await manager.stop('mute.service')
})

test('a unit that systemd cannot load, does not have or may not start is refused', async () => {
  await using manager = await managerWith({
    'badset.service': ['[Service]\nType=nonsense'],
    'manual.service': ['[Unit]\nRefuseManualStart=yes\n[Service]\nExecStart=/bin/true'],
  })
  await rm(join(unitDir, 'masked.service'), { force: true })
  await symlink('/dev/null', join(unitDir, 'masked.service'))
  await manager.reload()
  await assert.rejects(manager.start('badset.service'), { code: 'unit', message: /bad unit file setting/ })
  await assert.rejects(manager.start('masked.service'), {
    code: 'unit',
    message: /masked/,
    hint: /systemctl unmask masked\.service/,
  })
  await assert.rejects(manager.start('none.service'), { code: 'unit', message: /none\.service not found/ })
  await assert.rejects(manager.start('manual.service'), { code: 'unit' })
  const { loadState, loadError } = await manager.status('badset.service')
  assert.equal(loadState, 'bad-setting')
  assert.match(loadError, /bad unit file setting/)
  await rm(join(unitDir, 'masked.service'))
})

test('stopping and resetting a unit that is not loaded succeeds', async () => {
  await using manager = await managerWith({})
  await manager.stop('none.service')
  await manager.resetFailed('none.service')
  assert.equal((await manager.status('none.service')).loadState, 'not-found')
})

test('the states of many units come in one call, by the names asked for', async () => {
  await using manager = await managerWith({
    'one.service': [
      '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true',
      '[Install]\nAlias=uno.service',
    ],
  })
  await host.exec(['systemctl', 'enable', 'one.service'])
  await manager.start('one.service')
  const states = await manager.statuses(['uno.service', 'none.service', 'one.service'])
  const active = { loadState: 'loaded', activeState: 'active', subState: 'exited' }
  assert.deepEqual(
    [...states],
    [
      ['uno.service', active],
      ['none.service', { loadState: 'not-found', activeState: 'inactive', subState: 'dead' }],
      ['one.service', active],
    ],
  )
  assert.deepEqual(await manager.statuses([]), new Map())
  await manager.stop('one.service')
  await host.exec(['systemctl', 'disable', 'one.service'])
})

test('a start that somebody else stops is canceled', async () => {
  await using manager = await managerWith({ 'slow.service': ['[Service]\nType=oneshot\nExecStart=/bin/sleep 60'] })
  const start = assert.rejects(manager.start('slow.service'), { code: 'systemd', message: /canceled/ })
  await activating(manager, 'slow.service')
  await host.exec(['systemctl', 'stop', 'slow.service'])
  await start
})

test('an abort ends the waiting for a start, and the same manager then stops the unit', async () => {
  const controller = new AbortController()
  await using manager = await managerWith(
    { 'slow.service': ['[Service]\nType=oneshot\nExecStart=/bin/sleep 60'] },
    { signal: controller.signal },
  )
  const start = assert.rejects(manager.start('slow.service'), { code: 'interrupted' })
  await activating(manager, 'slow.service')
  controller.abort()
  await start
  await manager.stop('slow.service')
  await manager.resetFailed('slow.service') // its process was killed before it was up
  assert.equal((await manager.status('slow.service')).activeState, 'inactive')
})

test('a start goes on while systemd executes itself anew', async () => {
  await using manager = await managerWith({
    'slow.service': ['[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 2'],
  })
  const start = manager.start('slow.service')
  await activating(manager, 'slow.service')
  await host.exec(['systemctl', 'daemon-reexec'])
  await start
  assert.equal((await manager.status('slow.service')).activeState, 'active')
  await manager.stop('slow.service')
})

test('the bus dying in the middle of a start is one error, and the same manager goes on with a new connection', async () => {
  await using manager = await managerWith({ 'slow.service': ['[Service]\nType=oneshot\nExecStart=/bin/sleep 60'] })
  const start = assert.rejects(manager.start('slow.service'), {
    code: 'systemd',
    message: /connection to systemd was lost/,
  })
  await activating(manager, 'slow.service')
  const { mainPid } = await manager.status('dbus.service')
  await host.exec(['kill', '-KILL', String(mainPid)])
  await start
  await manager.stop('slow.service')
  await manager.resetFailed('slow.service') // its process was killed before it was up
  assert.equal((await manager.status('slow.service')).activeState, 'inactive')
})

test('the private socket serves while the bus is down', async () => {
  await writeUnits({
    'quiet.service': [
      '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.5',
      '[Install]\nWantedBy=multi-user.target',
    ],
    'fails.service': ['[Service]\nType=oneshot\nExecStart=/bin/false'],
  })
  await host.exec(['systemctl', 'stop', 'dbus.socket', 'dbus.service'])
  try {
    const answers = await client({
      connections: 20,
      calls: [
        ['reload'],
        ['start', 'quiet.service'],
        ['status', 'quiet.service'],
        ['start', 'fails.service'],
        ['stop', 'quiet.service'],
      ],
    })
    assert.deepEqual(answers[0], { value: null })
    assert.deepEqual(answers[1], { value: null })
    assert.equal((answers[2] as { value: { activeState: string } }).value.activeState, 'active')
    assert.equal((answers[3] as { code: string }).code, 'systemd')
    assert.deepEqual(answers[4], { value: null })
  } finally {
    await host.exec(['systemctl', 'start', 'dbus.socket', 'dbus.service'])
  }
})

test('a user who is not root may look and not touch', async () => {
  await writeUnits({ 'runs.service': ['[Service]\nExecStart=/bin/sleep infinity'] })
  const [status, ...refused] = await client({
    uid: 65534,
    calls: [['status', 'runs.service'], ['start', 'runs.service'], ['stop', 'runs.service'], ['reload']],
  })
  assert.equal((status as { value: { loadState: string } }).value.loadState, 'loaded')
  for (const answer of refused) assert.equal((answer as { code: string }).code, 'permission')
})

test('a user who is not root is told so when there is no bus', async () => {
  const answers = await client({ uid: 65534, busSocket: 'nonexistent', calls: [['reload']] })
  assert.deepEqual(answers, [{ code: 'permission', message: 'not allowed to talk to systemd' }])
})

test('a full disk is told as such by what applies the tmpfiles lines', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'forerun-full-'))
  const run = promisify(execFile)
  await run('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=3', 'none', directory])
  try {
    const file = join(directory, 'lines.conf')
    await writeFile(file, `d ${directory}/one 0755 - - -\nd ${directory}/two 0755 - - -\n`)
    await assert.rejects(applyTmpfiles(file), {
      name: 'ForerunError',
      code: 'disk-full',
      message: /two.*No space left/,
    })
  } finally {
    await run('umount', [directory])
    await rm(directory, { recursive: true })
  }
})

type Units = Record<string, readonly string[]>

/** Writes unit files from their sections, has them loaded, and connects over the host's bus. */
async function managerWith(units: Units, options: Partial<ManagerOptions> = {}): Promise<SystemdManager> {
  await writeUnits(units)
  const manager = await connectManager({
    emit: () => {},
    busSocket: join(root, 'run/dbus/system_bus_socket'),
    privateSocket: join(root, 'run/systemd/private'),
    ...options,
  })
  await manager.reload()
  return manager
}

async function writeUnits(units: Units): Promise<void> {
  for (const [name, sections] of Object.entries(units)) await writeFile(join(unitDir, name), `${sections.join('\n')}\n`)
}

async function activating(manager: SystemdManager, unit: string): Promise<void> {
  while ((await manager.status(unit)).activeState !== 'activating') await delay(10)
}

/** Runs calls in a process inside the host's process namespace. */
async function client(request: Pick<ClientRequest, 'calls'> & Partial<ClientRequest>): Promise<ClientAnswer[]> {
  const whole: ClientRequest = {
    uid: 0,
    connections: 1,
    directory: join(root, 'run'),
    busSocket: 'dbus/system_bus_socket',
    privateSocket: 'systemd/private',
    ...request,
  }
  const program = join(import.meta.dirname, 'systemd-client.ts')
  const words = ['-t', String(host.leader), '-p', '--', process.execPath, program, JSON.stringify(whole)]
  const { stdout } = await promisify(execFile)('nsenter', words)
  return JSON.parse(stdout)
}
