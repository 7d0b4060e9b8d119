import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { InstallResult } from '../../src/operations/containers/install.ts'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { assertNothingUnfinished, serviceWords } from './bad-input.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Updates of ordinary images, beside other commands, and by users who are impatient. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost({ settle: 0.5, disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

/** Version N of a system container; what runs tells it by the file `/version`. */
function push(version: number, name: string) {
  const exports = {
    ...serviceExports(serviceWords, { readonly: false }),
    hostfs: { [`/etc/${name}/conf`]: `${version}\n` },
  }
  return lab.push(`${name}:latest`, busyboxImage({ layers: [{ version: `${version}\n` }], exports }))
}

const version = (name: string) => lab.inside(name, 'cat', '/version')

test('a signal at any moment of an update or a rollback leaves the one version or the other, running', async () => {
  await lab.must('install', '--now', await push(1, 'signal'))
  const start = performance.now()
  const newer = await push(2, 'signal')
  await lab.must('update', 'signal')
  const duration = (performance.now() - start) / 1000
  const outcomes = new Set<string>()
  const rounds = 14
  for (let round = 0; round < rounds; round++) {
    const before = await version('signal')
    const moment = ((duration * (round + Math.random())) / rounds).toFixed(3)
    // What lies in the other slot has another version, so that an update has something to do, too.
    const words = round % 2 === 0 ? ['rollback', 'signal'] : ['update', '--rebase', newer, 'signal']
    const argv = ['timeout', '--preserve-status', '-s', 'INT', moment, 'forerun', ...words]
    const { status, stdout, stderr } = await lab.host.exec(argv, { check: false })
    const about = `${words[0]} after ${moment} s: status ${status}\n${stdout}${stderr}`
    const isCurrent = stdout.includes('Latest version')
    outcomes.add(status === 0 ? 'done' : 'undone')
    assert.equal((await version('signal')) !== before, status === 0 && !isCurrent, about)
    assert.equal(await lab.property('signal', 'ActiveState'), 'active', about)
    assert.equal(`${await lab.shell('cat /etc/signal/conf')}\n`, await version('signal'), about)
    const left = await lab.shell('ls -A /var/lib/forerun/containers /var/lib/forerun/journal')
    assert.doesNotMatch(left, /\.forerun-|\.jsonl/, about)
    assert.equal(await lab.shell('findmnt -rn -o TARGET | grep -c containers/signal'), '1', about)
  }
  assert.ok(outcomes.has('undone'), 'no signal came in time')
})

test('an ordinary image keeps its volumes, gets the new ones, and stays as read-only as it was asked to be', async () => {
  const ordinary = (number: number, volumes: readonly string[]) =>
    lab.push(
      'ordinary',
      busyboxImage({
        entrypoint: serviceWords,
        layers: [{ version: `${number}\n`, 'srv/new/from-image': `${number}\n` }],
        config: { Volumes: Object.fromEntries(volumes.map((path) => [path, {}])) },
      }),
    )
  const image = await ordinary(1, ['/srv/data'])
  await lab.must('install', '--now', '--name', 'plain', image)
  await lab.must('install', '--now', '--name', 'closed', '--read-only', image)
  for (const name of ['plain', 'closed']) await lab.inside(name, 'sh', '-c', 'echo kept >/srv/data/file')
  await lab.inside('plain', 'sh', '-c', 'echo gone >/file')
  await ordinary(2, ['/srv/data', '/srv/new'])
  await lab.must('update', '--all')
  for (const name of ['plain', 'closed']) {
    assert.equal(await lab.inside(name, 'cat', '/version', '/srv/data/file', '/srv/new/from-image'), '2\nkept\n2\n')
    await lab.inside(name, 'sh', '-c', 'echo more >>/srv/data/file')
  }
  assert.equal(await lab.inside('plain', 'sh', '-c', 'cat /file || echo fresh'), 'fresh\n')
  assert.match(await lab.inside('closed', 'sh', '-c', 'touch /file 2>&1 || true'), /Read-only file system/)
  for (const name of ['plain', 'closed']) {
    await lab.must('rollback', name)
    assert.equal(await lab.inside(name, 'cat', '/version', '/srv/data/file'), '1\nkept\nmore\n')
  }
  assert.match(await lab.inside('closed', 'sh', '-c', 'touch /file 2>&1 || true'), /Read-only file system/)
  await lab.host.reboot()
  assert.equal(await version('plain'), '1\n')
  await lab.must('containers', 'delete', '--all', '--force')
  assert.equal(await lab.shell('cat /var/lib/plain/*/file'), 'kept\nmore')
  await lab.shell('rm -r /var/lib/plain /var/lib/closed')
})

test('what a rollback needs outlives a prune, and what none needs any more goes with one', async () => {
  const { json } = await lab.must<InstallResult>('install', '--now', '--json', await push(1, 'pruned'))
  assert.ok(json.outcome === 'installed')
  const first = json.id
  const images = async () =>
    (await lab.must('images', 'list', '--all', '--quiet', '--no-trunc')).stdout.trim().split('\n')
  await push(2, 'pruned')
  await lab.must('update', 'pruned')
  await lab.must('images', 'prune')
  assert.ok((await images()).includes(first))
  await lab.must('verify')
  await lab.must('rollback', 'pruned')
  await lab.must('rollback', 'pruned')
  await push(3, 'pruned')
  await lab.must('update', 'pruned')
  await lab.must('images', 'prune')
  assert.ok(!(await images()).includes(first))
  await lab.must('verify')
  await lab.must('storage')
})

test('updates, installations, removals and lists at once all come to their end', async () => {
  const names = ['a', 'b', 'c']
  for (const name of names) await lab.must('install', '--now', await push(1, name))
  for (const name of names) await push(2, name)
  const extra = await push(1, 'extra')
  const listing = async () => {
    const { json, stderr } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
    assert.equal(stderr, '')
    for (const row of json) assert.notEqual(row.state, 'damaged', JSON.stringify(json))
  }
  const results = await Promise.all([
    ...names.map((name) => lab.must('update', name)),
    lab.must('install', '--now', extra).then(() => lab.must('uninstall', 'extra')),
    lab.must('images', 'prune'),
    lab.must('rollback', 'a').catch((error: Error) => error),
    ...Array.from({ length: 6 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, 400 * index))
      await listing()
    }),
  ])
  const undone = results.find((result) => result instanceof Error)
  // The rollback may have come before its update.
  if (undone !== undefined) assert.match(undone.message, /Cannot find a previous deployment/)
  for (const name of ['b', 'c']) assert.equal(await version(name), '2\n')
  assert.equal(await version('a'), undone === undefined ? '1\n' : '2\n')
  assertNothingUnfinishedBut(['a', 'b', 'c'])
})

/** Roots of containers that run are mounted. */
function assertNothingUnfinishedBut(running: readonly string[]): void {
  assert.throws(
    () => assertNothingUnfinished(lab),
    (error: assert.AssertionError) => {
      const mounted = (error.actual as string[]).map((line) => line.split(' ')[1])
      assert.equal(mounted.length, running.length, mounted.join('\n'))
      return true
    },
  )
}

/** What a refused update must not have touched: files, and the process that runs. */
async function untouchedBy(
  name: string,
  update: () => Promise<{ status: number; stderr: string }>,
  expected: RegExp,
): Promise<void> {
  const files = lab.files()
  const pid = await lab.property(name, 'MainPID')
  const { status, stderr } = await update()
  assert.equal(status, 1, stderr)
  assert.match(stderr, expected)
  const left = await lab.shell('ls -A /var/lib/forerun/containers /var/lib/forerun/journal; ls -A /etc/systemd/system')
  assert.doesNotMatch(left, /\.forerun-|\.jsonl|forerun-recover/)
  assert.deepEqual(changesSince(files, lab), [])
  assert.equal(await lab.property(name, 'MainPID'), pid)
  assert.equal(await version(name), '1\n')
}

test('a version that does not fit the disk, also for the last of its files, leaves the one that runs untouched', async () => {
  await lab.must('install', '--now', await push(1, 'firm'))
  const newer = await push(2, 'firm')
  await lab.must('pull', newer)
  const fill = '/var/lib/forerun/fill'
  await lab.shell('mount -o remount,size=64m /var/lib/forerun')
  let updated = false
  const rooms = [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256]
  for (const room of rooms) {
    await lab.shell(
      `free=$(df -k --output=avail /var/lib/forerun | tail -1); dd if=/dev/zero of=${fill} bs=1k count=$((free - ${room})) 2>/dev/null || true`,
    )
    const tried = await lab.forerun('update', '--rebase', newer, 'firm')
    updated = tried.status === 0
    if (!updated) await untouchedBy('firm', async () => tried, /no space is left/)
    await lab.shell(`rm ${fill}`)
    if (updated) break
  }
  assert.ok(updated, 'there was never enough room')
  await lab.shell('mount -o remount,size=50% /var/lib/forerun')
  assert.equal(await version('firm'), '2\n')
})

test('a host whose /etc cannot be written to, a unit that systemd refuses, and a bus that is away', async () => {
  await lab.must('install', '--now', await push(1, 'solid'))
  await push(2, 'solid')
  await lab.shell('mount --bind /etc /etc && mount -o remount,bind,ro /etc')
  await untouchedBy('solid', () => lab.forerun('update', 'solid'), /the file system is read-only \(open/)
  await lab.shell('umount /etc')

  const refused = serviceExports(serviceWords, { readonly: false })
  const unit = refused['service.template'].replace(/^ExecStart=/m, 'ExecStop=')
  const images = busyboxImage({ exports: { ...refused, 'service.template': unit } })
  const wrong = await lab.push('solid-wrong', images)
  await untouchedBy(
    'solid',
    () => lab.forerun('update', '--rebase', wrong, 'solid'),
    /systemd cannot load solid\.service/,
  )

  // systemd has a socket of its own for root.
  await lab.shell('systemctl stop dbus.socket dbus.service')
  await lab.must('update', 'solid')
  assert.equal(await version('solid'), '2\n')
  await lab.must('rollback', 'solid')
  assert.equal(await version('solid'), '1\n')
  await lab.shell('systemctl start dbus.socket')
})
