import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import type { UpdateCheck } from '../../src/operations/containers/check-updates.ts'
import type { RollbackResult } from '../../src/operations/containers/rollback.ts'
import type { UpdateResult } from '../../src/operations/containers/update.ts'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/** Containers that go from one version to the next, and back. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost({ settle: 1.5, disks: { '/var/lib/forerun': 'tmpfs' } })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

/** As the first process of a container a shell does not end by a signal that it does not catch. */
const forever = 'trap "exit 0" TERM; sleep infinity & wait'
const loop = ['sh', '-c', forever]

/** Each test has images of its own: one that is stored already is not pulled for an installation. */
let tests = 0

beforeEach(() => {
  tests++
})

/** Version N of an image; what runs tells it by the file `/version`. */
function push(version: number, exports: Exports = serviceExports(loop), name = 'app') {
  return lab.push(`test-${tests}/${name}:latest`, busyboxImage({ layers: [{ version: `${version}\n` }], exports }))
}

/** Version 1, installed and started. */
async function start(exports?: Exports): Promise<void> {
  await lab.must('install', '--now', await push(1, exports))
}

const version = (name = 'app') => lab.inside(name, 'cat', '/version')
const slot = (name = 'app') => lab.shell(`readlink /var/lib/forerun/containers/${name}`)
const folder = '/var/lib/forerun/containers'

async function update(...words: string[]): Promise<UpdateResult> {
  const { json } = await lab.must<UpdateResult[]>('update', '--json', ...words)
  assert.equal(json.length, 1)
  return json[0] as UpdateResult
}

test('a running service goes to the next version and back, as often as one likes, with its values and its UUID', async () => {
  const exports: Exports = {
    ...serviceExports(['sh', '-c', `echo $WORD $OTHER $UUID >/run/said; ${forever}`], {
      env: ['WORD=$WORD', 'OTHER=$OTHER', 'UUID=$UUID'],
      mounts: [{ destination: '/run', type: 'bind', source: '/run/app', options: ['rbind', 'rw'] }],
    }),
    'manifest.json': { version: '1.0', defaultValues: { WORD: 'one', OTHER: 'default' } },
  }
  const said = async () => (await lab.shell('cat /run/app/said')).split(' ')
  const image = await push(1, exports)
  await lab.must('install', '--now', '--set', 'WORD=mine', image)
  await until('the service has spoken', async () => (await lab.shell('cat /run/app/said || true')) !== '')
  const [, , uuid] = await said()
  assert.equal(await version(), '1\n')

  await push(2, { ...exports, 'manifest.json': { version: '1.0', defaultValues: { WORD: 'one', OTHER: 'newer' } } })
  const updated = await update('app')
  assert.ok(updated.outcome === 'updated' && updated.running && updated.from !== updated.to)
  assert.deepEqual([await version(), await slot()], ['2\n', 'app.1'])
  assert.deepEqual(await said(), ['mine', 'newer', uuid])
  assert.equal(await lab.property('app', 'ActiveState'), 'active')

  for (const [wanted, place] of [
    ['1\n', 'app.0'],
    ['2\n', 'app.1'],
    ['1\n', 'app.0'],
  ]) {
    await lab.must('rollback', 'app')
    assert.deepEqual([await version(), await slot()], [wanted, place])
  }
  assert.deepEqual(await said(), ['mine', 'default', uuid])
  // And forward again: what is newest takes the place of the other slot.
  await push(3, exports)
  await lab.must('containers', 'update', 'app')
  assert.deepEqual([await version(), await slot()], ['3\n', 'app.1'])
  await lab.host.reboot()
  assert.equal(await version(), '3\n')
})

test('without news nothing is changed; values alone make a new deployment of the same image, without the registry', async () => {
  const exports: Exports = {
    ...serviceExports(loop, { env: ['WORD=$WORD'] }),
    'manifest.json': { version: '1.0', defaultValues: { WORD: 'one' } },
  }
  const image = await push(1, exports)
  await lab.must('install', image)
  const installed = lab.files()
  const { stdout } = await lab.must('update', 'app')
  assert.match(stdout, /Latest version already installed/)
  assert.match(
    (await lab.must('containers', 'update', '--rebase', image, 'app')).stdout,
    /Latest version already installed/,
  )
  assert.match((await lab.must('update', '--set', 'WORD=one', 'app')).stdout, /Latest version already installed/)
  assert.deepEqual(changesSince(installed, lab), [])
  assert.equal(await slot(), 'app.0')

  await lab.registry.stop()
  const changed = await update('--set', 'WORD=two', 'app')
  assert.ok(changed.outcome === 'updated' && changed.from === changed.to && !changed.running)
  assert.match(await lab.shell(`cat ${folder}/app/config.json`), /WORD=two/)
  assert.equal(await lab.property('app', 'ActiveState'), 'inactive')
  const { status, stderr } = await lab.forerun('update', 'app')
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: /)
  assert.equal(await slot(), 'app.1')
  await lab.registry.start()
  await lab.must('rollback', 'app')
  assert.match(await lab.shell(`cat ${folder}/app/config.json`), /WORD=one/)
})

test('host files, unit and drop-in of the new version take the places of the old ones, and come back', async () => {
  const hostfs = {
    '/etc/app/conf': 'one\n',
    '/etc/app/gone': 'gone\n',
    '/etc/app/link': { target: 'conf' },
    '/usr/local/bin/tool': { content: '#!/bin/sh\n', mode: 0o755 },
  }
  await start({ ...serviceExports(loop), hostfs, 'tmpfiles.template': 'd /run/app-one 0755 - - -\n' })
  const first = lab.files()
  const next = {
    '/etc/app/conf': 'two\n',
    '/etc/app/link': { target: 'new' },
    '/etc/app/new': 'new\n',
    '/usr/local/bin/tool': { content: '#!/bin/sh\n', mode: 0o700 },
  }
  await push(2, {
    ...serviceExports(loop, { unit: 'Documentation=man:two(1)' }),
    hostfs: next,
    'tmpfiles.template': 'd /run/app-two 0755 - - -\n',
  })
  await lab.must('update', 'app')
  assert.equal(
    await lab.shell('cat /etc/app/conf /etc/app/link; stat -c %a /usr/local/bin/tool; ls /etc/app'),
    'two\nnew\n700\nconf\nlink\nnew',
  )
  assert.equal(await lab.property('app', 'Documentation'), '"man:two(1)"')
  await lab.must('rollback', 'app')
  assert.deepEqual(
    changesSince(first, lab).filter((line) => !line.includes(' /run/')),
    [],
  )
  assert.equal(await lab.property('app', 'Documentation'), '')
})

test('what an administrator changed stays, through update, rollback and uninstall', async () => {
  const hostfs = { '/etc/app/conf': 'one\n', '/etc/app/other': 'other\n' }
  await start({ ...serviceExports(loop), hostfs })
  const unit = '/etc/systemd/system/app.service'
  await lab.shell(`echo mine >/etc/app/conf; sed -i 's/^Description=.*/Description=mine/' ${unit}`)
  await lab.shell(
    'mkdir -p /etc/systemd/system/app.service.d; printf "[Service]\\nNice=5\\n" >/etc/systemd/system/app.service.d/50-mine.conf',
  )
  await lab.shell(
    'echo "# mine" >>/etc/systemd/system/app.service.d/10-forerun.conf; systemctl disable app; systemctl daemon-reload',
  )
  await push(2, { ...serviceExports(loop), hostfs: { '/etc/app/conf': 'two\n', '/etc/app/other': 'newer\n' } })
  const { stderr } = await lab.must('update', 'app')
  assert.match(stderr, /^Will not replace \/etc\/app\/conf as it was manually modified\.$/m)
  assert.match(stderr, new RegExp(`^Will not replace ${unit} as it was manually modified\\.$`, 'm'))
  assert.match(stderr, /^Saved \/etc\/systemd\/system\/app\.service\.d\/10-forerun\.conf\.saved: /m)
  const look = () =>
    lab.shell(`cat /etc/app/conf /etc/app/other; systemctl show --value -p Description -p Nice -p UnitFileState app`)
  assert.equal(await look(), 'mine\nnewer\n5\nmine\ndisabled')
  assert.equal(await version(), '2\n')
  await lab.must('rollback', 'app')
  assert.equal(await look(), 'mine\nother\n5\nmine\ndisabled')
  assert.equal(await version(), '1\n')
  const gone = await lab.must('uninstall', 'app')
  assert.match(gone.stderr, /^Will not delete \/etc\/app\/conf as it was manually modified\.$/m)
  assert.equal(
    await lab.shell('cat /etc/app/conf; ls /etc/systemd/system/app.service.d'),
    'mine\n10-forerun.conf.saved\n50-mine.conf',
  )
  await lab.shell('rm -r /etc/app /etc/systemd/system/app.service.d; systemctl daemon-reload')
})

const broken: readonly (readonly [what: string, script: string, service: string])[] = [
  ['ends at once', 'exit 1', 'Restart=no'],
  ['is restarted for ever', 'exit 1', 'Restart=always\nRestartSec=100ms\nStartLimitIntervalSec=0'],
  ['is never ready', forever, 'Type=notify\nTimeoutStartSec=2'],
  ['dies after a second', 'sleep 1; exit 1', 'Restart=no'],
]

for (const [what, script, service] of broken) {
  test(`a new version that ${what} is taken back, and what requires it runs as before`, async () => {
    await start()
    await lab.shell(
      'printf "[Unit]\\nRequires=app.service\\nAfter=app.service\\n[Service]\\nExecStart=/bin/sleep infinity\\n" >/run/systemd/system/needs.service; systemctl daemon-reload; systemctl start needs',
    )
    const before = lab.files()
    const bad = serviceExports(['sh', '-c', `echo last words; ${script}`], { service })
    const unit = bad['service.template'].replace(/^ExecStop=.*\n/m, '').replace(/^Restart=on-failure\n/m, '')
    await push(2, { ...bad, 'service.template': unit })
    const { status, stderr } = await lab.forerun('update', 'app')
    assert.equal(status, 1)
    assert.match(stderr, /^forerun: /m)
    assert.match(stderr, /^ {4}last words$/m)
    assert.match(stderr, /^app was put back to .*, and runs as before$/m)
    assert.deepEqual([await version(), await slot()], ['1\n', 'app.0'])
    assert.equal(await lab.shell('systemctl is-active app needs'), 'active\nactive')
    assert.deepEqual(
      changesSince(before, lab).filter((line) => !line.includes(' /run/')),
      [],
    )
    assert.equal(await lab.shell(`ls -A ${folder}; ls -A /var/lib/forerun/journal`), 'app\napp.0')
    await lab.shell('systemctl stop needs; rm /run/systemd/system/needs.service; systemctl daemon-reload')
  })
}

test('units that require a service are restarted with it, and an update that one of them does not survive is taken back', async () => {
  await start()
  // It starts beside version 1 alone.
  await lab.shell(
    `printf '[Unit]\\nRequires=app.service\\nAfter=app.service\\n[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/sh -c "grep -q 1 ${folder}/app/rootfs/version"\\n' >/run/systemd/system/needs.service; systemctl daemon-reload; systemctl start needs`,
  )
  const started = await lab.property('needs', 'ActiveEnterTimestampMonotonic')
  await push(2)
  const { status, stderr } = await lab.forerun('update', 'app')
  assert.equal(status, 1)
  assert.match(stderr, /app\.service came up, and needs\.service, which requires it, did not/)
  assert.equal(await lab.shell('systemctl is-active app needs'), 'active\nactive')
  assert.notEqual(await lab.property('needs', 'ActiveEnterTimestampMonotonic'), started)
  assert.equal(await version(), '1\n')
  await lab.shell('systemctl stop needs; rm /run/systemd/system/needs.service; systemctl daemon-reload')
})

test('a writable root starts afresh with a new version, or is taken along where the image says so', async () => {
  const writable = serviceExports(loop, { readonly: false })
  for (const keeps of [false, true]) {
    tests++
    const manifest = { version: '1.0', keepRootChanges: keeps }
    await start({ ...writable, 'manifest.json': manifest })
    await lab.inside('app', 'sh', '-c', 'echo written >/written')
    await push(2, { ...writable, 'manifest.json': manifest })
    await lab.must('update', 'app')
    assert.equal(await version(), '2\n')
    const written = () => lab.inside('app', 'sh', '-c', 'cat /written 2>/dev/null || echo none')
    assert.equal(await written(), keeps ? 'written\n' : 'none\n')
    await lab.must('rollback', 'app')
    assert.deepEqual([await version(), await written()], ['1\n', 'written\n'])
    assert.equal(await lab.shell('findmnt -rn -o TARGET | grep -c /app || true'), '1')
    await lab.must('uninstall', 'app')
  }
})

test('a stopped service stays stopped, --no-start stops one, and a container without another slot has nothing to go back to', async () => {
  await lab.must('install', await push(1))
  const { status, stderr } = await lab.forerun('rollback', 'app')
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: Cannot find a previous deployment to rollback/)
  await push(2)
  const stopped = await update('app')
  assert.ok(stopped.outcome === 'updated' && !stopped.running)
  assert.equal(await lab.property('app', 'ActiveState'), 'inactive')
  await lab.must('run', 'app')
  assert.equal(await version(), '2\n')
  await push(3)
  const halted = await update('--no-start', 'app')
  assert.ok(halted.outcome === 'updated' && !halted.running)
  assert.equal(await lab.property('app', 'ActiveState'), 'inactive')
  const { json } = await lab.must<RollbackResult>('rollback', '--json', 'app')
  assert.deepEqual([json.running, json.to], [false, stopped.to])
})

test('all at once: one that fails keeps no other back, and a value that a new version needs is asked for', async () => {
  for (const name of ['a', 'b']) await lab.must('install', '--now', await push(1, serviceExports(loop), name))
  await push(2, serviceExports(loop, { env: ['X=$NEEDED'] }), 'a')
  await push(2, serviceExports(loop), 'b')
  const { status, json } = await lab.forerun<UpdateResult[]>('update', '--all', '--json')
  assert.equal(status, 1)
  assert.deepEqual(
    json.map(({ name, outcome }) => `${name} ${outcome}`),
    ['a failed', 'b updated'],
  )
  assert.deepEqual([await version('a'), await slot('a'), await version('b')], ['1\n', 'a.0', '2\n'])
  const needing = await lab.forerun('update', 'a')
  assert.match(needing.stderr, /unreplaced value for: ''NEEDED''/)
  await lab.must('update', '--set', 'NEEDED=x', 'a')
  assert.equal(await version('a'), '2\n')
})

test('a check tells what registries have, and changes nothing', async () => {
  await lab.must('install', await push(1, serviceExports(loop), 'a'))
  await lab.must('install', await push(1, serviceExports(loop), 'b'))
  const none = await lab.forerun('update', '--all', '--check')
  assert.equal(none.status, 0)
  await push(2, serviceExports(loop), 'b')
  const before = lab.files()
  const { status, json } = await lab.forerun<UpdateCheck[]>('update', '--all', '--check', '--json')
  assert.equal(status, 100)
  assert.deepEqual(
    json.map(({ name, outcome }) => `${name} ${outcome}`),
    ['a current', 'b available'],
  )
  assert.ok(json[1]?.outcome === 'available' && json[1].fetch > 0 && json[1].from !== json[1].to)
  assert.match(
    (await lab.forerun('update', '--check', 'b')).stdout,
    /^b: [0-9a-f]{12} can become [0-9a-f]{12} \(.*B to fetch\)$/m,
  )
  await lab.registry.stop()
  const gone = await lab.forerun<UpdateCheck[]>('update', '--check', 'b', '--json')
  assert.deepEqual([gone.status, gone.json[0]?.outcome], [0, 'unknown'])
  await lab.registry.start()
  assert.deepEqual(changesSince(before, lab), [])
  assert.equal((await lab.forerun('update', '--check', '--set', 'A=b', 'b')).status, 2)
})

test('a version that did not stay up is passed over by --all, until it is asked for by name or there is another one', async () => {
  await start()
  const bad = serviceExports(['sh', '-c', 'exit 1'], { service: 'Restart=no' })
  const unit = bad['service.template'].replace(/^ExecStop=.*\n/m, '').replace(/^Restart=on-failure\n/m, '')
  await push(2, { ...bad, 'service.template': unit })
  assert.equal((await lab.forerun('update', 'app')).status, 1)
  const started = await lab.property('app', 'ActiveEnterTimestampMonotonic')
  const [left] = (await lab.must<UpdateResult[]>('update', '--all', '--json')).json
  assert.equal(left?.outcome, 'left')
  assert.equal(await lab.property('app', 'ActiveEnterTimestampMonotonic'), started)
  assert.match(
    (await lab.must('update', '--all')).stdout,
    /^app: left as it is: it did not stay up with this version before/m,
  )
  assert.equal((await lab.forerun('update', 'app')).status, 1)
  await push(3)
  await lab.must('update', '--all')
  assert.equal(await version(), '3\n')
})

test('power over the host that a new version takes wants a yes, and what was accepted before does not', async () => {
  const withRule = (rule: string): Exports => ({ ...serviceExports(loop), hostfs: { '/etc/sudoers.d/app': rule } })
  await lab.shell('printf "[install]\\naccept-privileges = no\\n" >/etc/forerun/forerun.conf.d/power.conf')
  await lab.must('install', '--accept-privileges', await push(1, withRule('alice ALL = /bin/true\n')))
  await push(2, withRule('alice ALL = /bin/true\n'))
  const same = await lab.must('update', 'app')
  assert.doesNotMatch(same.stderr, /privileges/)
  await push(3, withRule('alice ALL = ALL\n'))
  const before = lab.files()
  const more = await lab.forerun('update', 'app')
  assert.equal(more.status, 1)
  assert.match(more.stderr, /^forerun: the update of app takes privileges .*\n {4}! .*\/etc\/sudoers\.d\/app/m)
  assert.deepEqual(changesSince(before, lab), [])
  await lab.must('update', '--accept-privileges', 'app')
  assert.equal(await lab.shell('cat /etc/sudoers.d/app'), 'alice ALL = ALL')
  await lab.shell('rm /etc/forerun/forerun.conf.d/power.conf')
})

test('a container on a tree of its own is updated by its values, and leaves the tree whole', async () => {
  const exports: Exports = {
    ...serviceExports(loop, { env: ['WORD=$WORD'] }),
    'manifest.json': { version: '1.0', defaultValues: { WORD: 'one' } },
  }
  const image = await push(1, exports)
  await lab.must('install', '--name', 'other', image)
  await lab.must('install', '--now', '--name', 'app', `--rootfs=${folder}/other`, image)
  await lab.must('update', '--set', 'WORD=two', 'app')
  assert.match(await lab.inside('app', 'env'), /WORD=two/)
  assert.equal(await lab.shell(`readlink ${folder}/app/rootfs`), `${folder}/other.0/rootfs`)
  await lab.must('rollback', 'app')
  assert.match(await lab.inside('app', 'env'), /WORD=one/)
  await lab.must('uninstall', 'app')
  await lab.must('verify', 'other')
})
