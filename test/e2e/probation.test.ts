import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import type { JudgedTrial } from '../../src/operations/recover-host.ts'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import type { StartedProcess } from '../lab/process.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** A new version is on trial until its service has stayed up: nobody waits for that, and nobody has to be there for it. */
let lab: InstalledHost
let untouched: Snapshot
const settle = 8

before(async () => {
  lab = await installedHost({ settle, disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
  assert.equal(await lab.shell('ls -A /var/lib/forerun/journal'), '')
})

after(() => lab[Symbol.asyncDispose]())

const forever = 'trap "exit 0" TERM; sleep infinity & wait'
const folder = '/var/lib/forerun/containers'
let images = 0

/** Version N of an image; what runs tells it by the file `/version`. */
function push(
  version: number,
  { script = forever, name = 'app', manifest = {}, shared }: Pushed = {},
): Promise<string> {
  const exports: Exports = {
    ...serviceExports(['sh', '-c', script]),
    'manifest.json': { version: '1.0', ...manifest },
    hostfs: {
      [`/etc/${name}/conf`]: `${version}\n`,
      ...(shared !== undefined && { [`/etc/shared/${shared}`]: `${shared}\n` }),
    },
  }
  return lab.push(`trial-${images}/${name}:latest`, busyboxImage({ layers: [{ version: `${version}\n` }], exports }))
}

interface Pushed {
  readonly script?: string
  readonly name?: string
  readonly manifest?: object
  /** A file on the host that other images may have, too. */
  readonly shared?: string
}

/** Version 1 runs, and the registry has version 2. */
async function prepare(second: Pushed = {}): Promise<void> {
  images++
  await lab.must('install', await push(1))
  await lab.shell('systemctl start app')
  await push(2, second)
}

const version = (name = 'app') => lab.inside(name, 'cat', '/version')

async function row(name = 'app'): Promise<ContainerRow> {
  const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  return json.find(({ container }) => container === name) as ContainerRow
}

/** An update that is on trial now. */
async function onTrial(...words: string[]): Promise<StartedProcess> {
  const process = lab.host.start(['forerun', 'update', ...words, 'app'], { check: false })
  await until('the new version is on trial', async () => (await row()).trial !== null && (await version()) === '2\n', {
    seconds: 20,
  })
  return process
}

/** As a killed process leaves it: what it had begun goes on. */
async function killed(process: StartedProcess): Promise<void> {
  await lab.shell('pkill -KILL -f "[f]orerun.cjs update"')
  assert.equal((await process.finished).status, 137)
}

/** The lab takes note when a unit fails meanwhile, which it may. */
async function rebootIntoFailure(): Promise<void> {
  await lab.host.reboot().catch((error: Error) => assert.match(error.message, /degraded/))
}

async function assertRuns(wanted: string): Promise<void> {
  assert.equal(await version(), wanted)
  assert.equal(`${await lab.shell('cat /etc/app/conf')}\n`, wanted)
  assert.equal(await lab.property('app', 'ActiveState'), 'active')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/journal'), '')
  assert.equal(
    await lab.shell(`ls -A ${folder} | grep forerun- || true; ls /etc/systemd/system | grep recover || true`),
    '',
  )
  assert.equal((await row()).trial, null)
}

describe('an update whose service is on trial', () => {
  it('is shown as such, and other containers are changed meanwhile', async () => {
    await prepare()
    const update = await onTrial()
    const { trial, state } = await row()
    assert.deepEqual({ trial, state }, { trial: { operation: 'update app', awaits: 'start' }, state: 'running' })
    assert.match((await lab.must('containers', 'list')).stdout, /running \(on trial: update app\)/)
    assert.match((await lab.must('containers', 'info', 'app')).stdout, /^State: +running \(on trial: update app\)/m)
    await lab.must('containers', 'pin', 'app')
    await lab.must('containers', 'unpin', 'app')
    await lab.must('install', await push(1, { name: 'other' }))
    await lab.must('images', 'prune')
    assert.notEqual((await row()).trial, null, 'they did not wait for it')
    assert.equal((await update.finished).status, 0)
    await assertRuns('2\n')
    assert.ok((await row()).other?.folder.endsWith('app.0'))
  })

  it('keeps back what is to be done with the same container until it is judged', async () => {
    await prepare()
    const update = await onTrial()
    const hasty = await lab.forerun('uninstall', '--lock-timeout', '0.2', 'app')
    assert.equal(hasty.status, 1)
    assert.match(hasty.stderr, /^forerun: 'update app' was not judged within 0\.2 s$/m)
    const rollback = await lab.must('rollback', 'app')
    assert.match(rollback.stderr, /^Waiting until 'update app' has been judged\.$/m)
    assert.equal((await update.finished).status, 0)
    await assertRuns('1\n')
  })

  it('that is taken back is not made after all by another one that looked for its image meanwhile', async () => {
    await prepare({ script: 'sleep 3; exit 3' })
    await lab.must('pull', `${lab.registry.address}/trial-${images}/app:latest`)
    await lab.must('images', 'tag', `${lab.registry.address}/trial-${images}/app:latest`, 'absent.invalid/rebased:1')
    await lab.must('pull', await push(1))
    const rebase = await onTrial('--rebase', 'absent.invalid/rebased:1')
    await lab.must('update', '--set', 'EXTRA=x', 'app')
    assert.equal((await rebase.finished).status, 1)
    assert.match((await row()).image, /\/app:latest$/)
    await assertRuns('1\n')
  })

  it('leaves what another container shares with either version, also when it is taken back', async () => {
    images++
    await lab.must('install', '--now', await push(1, { shared: 'one' }))
    await push(2, { shared: 'two', script: 'sleep 3; exit 3' })
    const update = await onTrial()
    assert.equal(await lab.shell('ls /etc/shared'), 'two')
    await lab.must('install', await push(1, { name: 'older', shared: 'one' }))
    await lab.must('install', await push(1, { name: 'newer', shared: 'two' }))
    assert.equal((await update.finished).status, 1)
    await assertRuns('1\n')
    assert.equal(await lab.shell('ls -A /etc/shared; cat /etc/shared/*'), 'one\ntwo\none\ntwo')
    await lab.must('uninstall', 'older')
    await lab.must('uninstall', 'newer')
    assert.equal(await lab.shell('ls -A /etc/shared'), 'one')
  })

  it('of two installations that share a file leaves nothing of it when both are taken back', async () => {
    images++
    const script = 'sleep 3; exit 3'
    const first = await push(1, { name: 'first', shared: 'both', script })
    const second = await push(1, { name: 'second', shared: 'both', script })
    const ended = await Promise.all([lab.forerun('install', '--now', first), lab.forerun('install', '--now', second)])
    assert.deepEqual(
      ended.map(({ status }) => status),
      [1, 1],
    )
    assert.equal(await lab.shell('ls -d /etc/shared 2>/dev/null || true'), '')
  })

  it('is put back by Ctrl-C, and may be tried again', async () => {
    await prepare()
    const update = await onTrial()
    await lab.shell('pkill -INT -f "[f]orerun.cjs update"')
    const { status, stderr } = await update.finished
    assert.equal(status, 130, stderr)
    assert.match(stderr, /^app was put back to .*, and runs as before$/m)
    await assertRuns('1\n')
    assert.match((await lab.must('update', '--all', '--settle', '0.2')).stdout, /updated/)
    await assertRuns('2\n')
  })

  it('is judged by a later command when its process was killed, and by nobody too early', async () => {
    await prepare()
    await killed(await onTrial())
    await lab.must('images', 'prune')
    assert.notEqual((await row()).trial, null, 'it has not been up for long enough')
    await until(
      'it has',
      async () =>
        Number(
          await lab
            .shell('systemctl show -p ActiveEnterTimestampMonotonic --value app; cut -d. -f1 /proc/uptime')
            .then((text) => {
              const [entered = 0, uptime = 0] = text.split('\n').map(Number)
              return uptime - entered / 1e6
            }),
        ) >
        settle + 1,
      { seconds: 20 },
    )
    await lab.must('images', 'prune')
    await assertRuns('2\n')
  })

  it('is taken back by the next command when its process was killed and the service died', async () => {
    await prepare({ script: 'sleep 3; exit 3' })
    await killed(await onTrial())
    await until('it has died', async () => (await lab.property('app', 'NRestarts')) !== '0', { seconds: 20 })
    const { stderr } = await lab.must('images', 'prune')
    assert.match(stderr, /'update app' is taken back: app\.service started and did not stay up/)
    await assertRuns('1\n')
    const { stdout } = await lab.must('update', '--all')
    assert.match(stdout, /left as it is: it did not stay up with this version before/)
  })

  it('is judged by the next command for the same container, which waits for that', async () => {
    await prepare()
    await killed(await onTrial())
    const { stdout, stderr } = await lab.must('update', 'app')
    assert.match(stderr, /^Waiting until 'update app' has been judged\.$/m)
    assert.equal(stdout, 'app: Latest version already installed.\n')
    await assertRuns('2\n')
  })

  it('is ended by `recover`, which tells of it', async () => {
    await prepare()
    await killed(await onTrial())
    const { json } = await lab.must<JudgedTrial[]>('recover', '--json')
    assert.deepEqual(json, [{ operation: 'update app', container: 'app', outcome: 'confirmed' }])
    await assertRuns('2\n')
    assert.deepEqual((await lab.must('recover', '--json')).json, [])
  })
})

describe('a health check', () => {
  const manifest = (command: string) => ({
    healthCheck: { command, interval: '1s', timeout: '1s', retries: 3, startPeriod: '2s' },
  })

  it('that succeeds late confirms an update', async () => {
    await prepare({ manifest: manifest('test -e /run/healthy'), script: `sleep 2; touch /run/healthy; ${forever}` })
    await lab.must('update', '--settle', '0.2', 'app')
    await assertRuns('2\n')
    assert.match((await lab.must('containers', 'info', 'app')).stdout, /^Health: +healthy$/m)
    await lab.inside('app', 'rm', '/run/healthy')
    assert.match((await lab.must('containers', 'info', 'app')).stdout, /^Health: +unhealthy: exit status 1$/m)
  })

  it('that fails takes it back, and says why', async () => {
    await prepare({ manifest: manifest('echo database is away >&2; exit 7') })
    const { status, stderr } = await lab.forerun('update', '--settle', '0.2', 'app')
    assert.equal(status, 1)
    assert.match(stderr, /app\.service came up and is not healthy: exit status 7, database is away/)
    await assertRuns('1\n')
  })

  it('that hangs counts as failed, and leaves no process', async () => {
    await prepare({ manifest: manifest('sleep 4321') })
    const { status, stderr } = await lab.forerun('update', '--settle', '0.2', 'app')
    assert.equal(status, 1)
    assert.match(stderr, /is not healthy: it took longer than 1 s/)
    assert.equal(await lab.shell('pgrep -f "^sleep 4321" || true'), '')
    await assertRuns('1\n')
  })
})

describe('an update for the next boot', () => {
  /** What of forerun ran in this boot. */
  const ranAtBoot = () => lab.shell('journalctl -b --no-pager -o cat -u forerun-recover.service')

  it('restarts nothing, runs after the boot, and is confirmed there; the boot after that runs nothing of forerun', async () => {
    await prepare()
    const pid = await lab.property('app', 'MainPID')
    const { stdout } = await lab.must('update', '--at-boot', 'app')
    assert.match(stdout, /; it runs from the next boot on$/m)
    assert.deepEqual([await version(), await lab.property('app', 'MainPID')], ['1\n', pid])
    assert.deepEqual((await row()).trial, { operation: 'update app', awaits: 'boot' })
    assert.match((await lab.must('containers', 'list')).stdout, /running \(update app: from the next boot on\)/)
    await lab.must('images', 'prune')
    assert.equal(await lab.property('app', 'MainPID'), pid)
    await lab.host.reboot()
    await until('it is judged', async () => (await row()).trial === null, { seconds: 30 })
    await assertRuns('2\n')
    assert.match(await ranAtBoot(), /'update app' holds: the service is up/)
    await lab.host.reboot()
    assert.equal(await ranAtBoot(), '')
    await lab.must('rollback', '--settle', '0.2', 'app')
    await assertRuns('1\n')
  })

  it('is taken back after the boot when the service does not stay up, and passed over later', async () => {
    await prepare({ script: 'sleep 0.3; exit 3' })
    await lab.must('update', '--at-boot', 'app')
    await rebootIntoFailure()
    await until('it is judged', async () => (await row()).trial === null, { seconds: 60 })
    await until(
      'the unit has ended',
      async () => (await lab.property('forerun-recover', 'ActiveState')) !== 'activating',
      {
        seconds: 20,
      },
    )
    await assertRuns('1\n')
    assert.match(await ranAtBoot(), /'update app' was taken back: the service runs as before/)
    assert.match((await lab.must('update', '--all')).stdout, /left as it is/)
  })

  for (const [what, words, wanted] of [
    ['a rollback', ['rollback', 'app'], '1\n'],
    ['another update', ['update', '--settle', '0.2', 'app'], '2\n'],
  ] as const) {
    it(`is given up for ${what}`, async () => {
      await prepare()
      await lab.must('update', '--at-boot', 'app')
      const { stderr } = await lab.must(...words)
      if (what === 'another update')
        assert.match(stderr, /'update app' is taken back: app\.service waited for the next boot/)
      await assertRuns(wanted)
    })
  }

  it('is given up for the first of two rollbacks, and the other one goes back further', async () => {
    await prepare()
    await lab.must('update', '--at-boot', 'app')
    const ended = await Promise.all([lab.forerun('rollback', 'app'), lab.forerun('rollback', 'app')])
    assert.deepEqual(ended.map(({ status }) => status).sort(), [0, 1])
    assert.match(ended.map(({ stderr }) => stderr).join(''), /Cannot find a previous deployment/)
    await assertRuns('1\n')
  })

  it('cannot be had together with what contradicts it', async () => {
    await prepare()
    const { status, stderr } = await lab.forerun('update', '--at-boot', '--no-start', 'app')
    assert.deepEqual([status, stderr.split('\n')[0]], [2, 'forerun: --at-boot and --no-start cannot be used together'])
  })
})

describe('a power cut', () => {
  it('while a version is on trial leaves the judgement to the boot', async () => {
    await prepare()
    const update = await onTrial()
    await lab.host.kill()
    await update.finished
    await lab.host.boot()
    await until('it is judged', async () => (await row()).trial === null, { seconds: 30 })
    await assertRuns('2\n')
  })

  it('fails a boot that is assessed, when neither version is up after it', async () => {
    await prepare({ script: 'exit 3' })
    await lab.must('update', '--at-boot', 'app')
    // The one before cannot run any more either.
    await lab.shell(`rm ${folder}/app.0/config.json`)
    await lab.shell(
      'mkdir -p /etc/systemd/system/multi-user.target.wants; ln -s /lib/systemd/system/boot-complete.target /etc/systemd/system/multi-user.target.wants/',
    )
    await rebootIntoFailure()
    await until('it is judged', async () => (await lab.property('forerun-recover', 'ActiveState')) === 'failed', {
      seconds: 60,
    })
    assert.equal(await lab.property('forerun-recover', 'Result'), 'exit-code')
    assert.equal(await lab.property('boot-complete.target', 'ActiveState'), 'inactive')
    await lab.shell('rm /etc/systemd/system/multi-user.target.wants/boot-complete.target; systemctl reset-failed')
  })
})
