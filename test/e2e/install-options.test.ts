import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { InstallResult } from '../../src/operations/containers/install.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

let lab: InstalledHost
let untouched: Snapshot
let sleeper: string

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  sleeper = await lab.push('sleeper', busyboxImage({ exports: sleeping() }))
  untouched = lab.files()
})

after(() => lab[Symbol.asyncDispose]())

function sleeping(options: Parameters<typeof serviceExports>[1] = {}) {
  return serviceExports(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'], options)
}

/** Each test leaves the host as it found it. One that fails is cleaned up after, so that it alone fails. */
afterEach(async () => {
  await lab.shell('rm -rf /srv/* /opt/*')
  const left = changesSince(untouched, lab)
  await lab.must('containers', 'delete', '--all', '--force')
  assert.deepEqual(left, [])
  assert.equal(await lab.shell('ls -A /var/lib/forerun/containers /run/runc 2>/dev/null | grep -v : || true'), '')
  assert.equal(await lab.shell('systemctl list-units --failed --no-legend'), '')
})

test('--display prints every file, and neither the host nor the store is changed', async () => {
  const { stdout } = await lab.must('install', '--system', '--display', '--name', 'shown', sleeper)
  assert.match(stdout, /^# \/var\/lib\/forerun\/containers\/shown\.0\/config\.json\n\{/m)
  assert.match(stdout, /^# \/etc\/systemd\/system\/shown\.service\n\[Unit\]\nDescription=shown$/m)
  assert.match(stdout, /^# \/etc\/systemd\/system\/shown\.service\.d\/10-forerun\.conf$/m)
  const { json } = await lab.must<InstallResult>('install', '--display', '--json', sleeper)
  assert.ok(json.outcome === 'displayed')
  assert.deepEqual(JSON.parse(json.files[0]?.content ?? '').root, { path: 'rootfs', readonly: true })
  assert.equal(await lab.shell('ls -A /var/tmp | grep -v systemd-private || true'), '')
  assert.equal(await lab.shell('ls -A /var/lib/forerun 2>/dev/null || true'), '')
})

test('--name names the container, its unit and the variable NAME; --now starts it and waits', async () => {
  const { stdout } = await lab.must('install', '--system', '--name', 'chosen', '--now', sleeper)
  assert.match(stdout, /^Installed .*sleeper:latest as chosen\. It is running/)
  assert.equal(await lab.property('chosen', 'ActiveState'), 'active')
  assert.equal(await lab.property('chosen', 'Description'), 'chosen')
  assert.equal(await lab.inside('chosen', 'hostname'), 'chosen\n')
  assert.equal(await lab.shell('readlink /var/lib/forerun/containers/chosen'), 'chosen.0')
  await lab.must('uninstall', 'chosen')
})

test('a tag other than latest becomes a part of the name', async () => {
  const image = await lab.push('deep/er/sleeper:3.5', busyboxImage({ exports: sleeping() }))
  const { json } = await lab.must<InstallResult>('install', '--json', image)
  assert.equal(json.name, 'sleeper-3.5')
  await lab.must('uninstall', 'sleeper-3.5')
})

test('--set reaches the container with quotes, backslashes and line breaks as they are', async () => {
  const values = { A: `say "hi" \\ 'there' $HOME %n`, B: 'first\nsecond', C: 'ünïcode', D: '' }
  const names = [...Object.keys(values), 'E']
  const image = await lab.push(
    'valued',
    busyboxImage({
      exports: {
        ...sleeping({ env: names.map((name) => `${name}=$${name}`) }),
        'manifest.json': { version: '1.0', defaultValues: { A: 'not this', E: 'default' } },
      },
    }),
  )
  const set = Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  await lab.must('install', '--now', ...set, image)
  const environment = (await lab.inside('valued', 'cat', '/proc/1/environ')).split('\0')
  for (const [name, value] of Object.entries({ ...values, E: 'default' })) {
    assert.ok(environment.includes(`${name}=${value}`), environment.join('\n'))
  }
  await lab.must('uninstall', 'valued')
})

test('--set of a line break is refused where it would land in the unit', async () => {
  const image = await lab.push('unitset', busyboxImage({ exports: sleeping({ unit: 'Description=$VALUE' }) }))
  const value = 'VALUE=a\n[Service]\nExecStartPre=/bin/touch /evil'
  const { status, stderr } = await lab.forerun('install', '--set', value, image)
  assert.equal(status, 1)
  assert.match(stderr, /VALUE/)
  await lab.must('install', '--set', 'VALUE=a "b" %n', image)
  assert.equal(await lab.property('unitset', 'Description'), 'a "b" %n')
  await lab.must('uninstall', 'unitset')
})

test('a whole piece of JSON can be given where the template has its variable outside a string', async () => {
  const template = JSON.stringify(sleeping()['config.json.template']).replace('"mounts":[', '"mounts":[ $MORE ')
  const image = await lab.push('mounts', busyboxImage({ exports: { ...sleeping(), 'config.json.template': template } }))
  const mount = '{"destination":"/run","type":"tmpfs","source":"more","options":["mode=700"]},'
  await lab.must('install', '--now', '--set', `MORE=${mount}`, image)
  assert.match(await lab.inside('mounts', 'cat', '/proc/mounts'), /^more \/run tmpfs/m)
  await lab.must('uninstall', 'mounts')
  const broken = await lab.forerun('install', '--set', 'MORE={"destination":', image)
  assert.equal(broken.status, 1)
  assert.match(broken.stderr, /config\.json\.template.*MORE/s)
})

test('--runtime is what the unit starts, by an absolute path', async () => {
  await lab.shell('mkdir -p /opt/bin && ln -s /usr/sbin/runc /opt/bin/other-runc')
  const before = lab.files()
  await lab.must('install', '--now', '--runtime', '/opt/bin/other-runc', sleeper)
  assert.match(await lab.property('sleeper', 'ExecStart'), / \/opt\/bin\/other-runc run /)
  assert.match(await lab.property('sleeper', 'ExecStartPre'), /path=\/opt\/bin\/other-runc ;/)
  const { json } = await lab.must<{ runtime: string }[]>('containers', 'list', '--json')
  assert.deepEqual(
    json.map(({ runtime }) => runtime),
    ['/opt/bin/other-runc'],
  )
  await lab.must('uninstall', 'sleeper')
  assert.deepEqual(changesSince(before, lab), [])
})

test('a runtime that is not there is refused before anything is fetched', async () => {
  for (const runtime of ['/no/such/runc', 'kata', './runc', '/etc/passwd']) {
    const { status, stderr } = await lab.forerun('install', '--runtime', runtime, '127.0.0.1:1/nothing')
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`^forerun: the runtime ${runtime} is not installed$`, 'm'))
  }
})

test('--rootfs uses an existing tree, given itself or by the folder above it, and leaves it as it is', async () => {
  await lab.must('install', '--name', 'base', sleeper)
  await lab.shell('cp -a /var/lib/forerun/containers/base.0/rootfs /srv/rootfs')
  await lab.must('uninstall', 'base')
  const before = lab.files()
  for (const folder of ['/srv', '/srv/rootfs']) {
    await lab.must('install', '--now', '--name', 'treed', '--rootfs', folder, sleeper)
    assert.equal(await lab.shell('readlink /var/lib/forerun/containers/treed.0/rootfs'), '/srv/rootfs')
    assert.equal(await lab.inside('treed', 'hostname'), 'treed\n')
    await lab.must('uninstall', 'treed')
    assert.deepEqual(changesSince(before, lab), [])
  }
})

test('the checkout of another container by --rootfs is used through its link, and stays whole', async () => {
  await lab.must('install', '--name', 'base', sleeper)
  const before = lab.files()
  await lab.must('install', '--now', '--name', 'treed', '--rootfs', '/var/lib/forerun/containers/base', sleeper)
  const rootfs = '/var/lib/forerun/containers/base.0/rootfs'
  assert.equal(await lab.shell('readlink /var/lib/forerun/containers/treed.0/rootfs'), rootfs)
  assert.equal(await lab.inside('treed', 'hostname'), 'treed\n')
  await lab.must('uninstall', 'treed')
  assert.deepEqual(changesSince(before, lab), [])
  await lab.must('run', 'base')
  await lab.must('uninstall', 'base')
})

test('a folder that is no root for the image is refused by --rootfs', async () => {
  const ordinary = await lab.push('ordinary', busyboxImage({ entrypoint: ['sh', '-c', 'sleep infinity'] }))
  await lab.must('pull', ordinary)
  for (const folder of ['/srv', '/var/log', '/etc']) {
    const { status, stderr } = await lab.forerun('install', '--name', 'treed', '--rootfs', folder, ordinary)
    assert.equal(status, 1, folder)
    assert.match(stderr, new RegExp(`^forerun: '${folder}' is no root for this image: there is no 'sh' in it$`, 'm'))
  }
})

test('files that the installation itself brings are mounted as what they are', async () => {
  const mounts = [
    { destination: '/etc/brought', type: 'bind', source: '/srv/$NAME-conf', options: ['bind', 'ro'] },
    { destination: '/etc/line', type: 'bind', source: '/srv/line', options: ['bind', 'ro'] },
  ]
  const exports = {
    ...serviceExports(['sh', '-c', 'trap "exit 0" TERM; cat /etc/brought /etc/line; sleep infinity & wait'], {
      mounts,
    }),
    'manifest.json': { version: '1.0', renameFiles: { '/srv/conf': '/srv/$NAME-conf' } },
    hostfs: { '/srv/conf': 'brought\n' },
  }
  const lines = { 'tmpfiles.template': 'f /srv/line 0644 - - - line\n' }
  const image = await lab.push('brings', busyboxImage({ exports: { ...exports, ...lines } }))
  await lab.must('install', '--now', image)
  assert.equal(await lab.inside('brings', 'cat', '/etc/brought', '/etc/line'), 'brought\nline')
  await lab.must('uninstall', 'brings')
})

test('a relative --rootfs is meant from where the command runs', async () => {
  await lab.must('install', '--name', 'base', sleeper)
  await lab.shell('cp -a /var/lib/forerun/containers/base.0/rootfs /srv/tree && forerun uninstall base')
  await lab.shell(`cd /srv && forerun install --name treed --rootfs tree ${sleeper}`)
  assert.equal(await lab.shell('readlink /var/lib/forerun/containers/treed.0/rootfs'), '/srv/tree')
  await lab.must('uninstall', 'treed')
})

test('--now with a service that fails to start leaves the host as it was, and says what failed', async () => {
  const services = {
    exits: serviceExports(['false'], { service: 'Type=oneshot' }),
    'no-program': serviceExports(['/no/such/program'], { service: 'Type=notify' }),
    late: sleeping({ service: 'Type=notify\nTimeoutStartSec=1\nTimeoutStopSec=1' }),
  }
  for (const [name, exports] of Object.entries(services)) {
    const image = await lab.push(name, busyboxImage({ exports: { ...exports, hostfs: { '/etc/some': 'text' } } }))
    const { status, stderr } = await lab.forerun('install', '--now', image)
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`^forerun: .*${name}\\.service`, 'm'))
    assert.match(stderr, new RegExp(`^hint: .*journalctl -u ${name}\\.service`, 'm'))
    assert.equal(await lab.property(name, 'LoadState'), 'not-found')
  }
})

test('--json tells an error, too, on standard output', async () => {
  const { status, json } = await lab.forerun<{ error: { code: string; message: string } }>(
    ...['install', '--json', '--set', 'novalue', sleeper],
  )
  assert.equal(status, 1)
  assert.equal(json.error.code, 'variable')
})

test('-q prints the result alone', async () => {
  const { stdout, stderr } = await lab.must('install', '-q', '--name', 'quiet', sleeper)
  assert.equal(stderr, '')
  assert.match(stdout, /^Installed /)
  await lab.must('uninstall', '-q', 'quiet')
})

test("with --override-unit a package's unit of the same name is left running, and one that rests is told of", async () => {
  const packaged = '/usr/local/lib/systemd/system/vendor.service'
  await lab.shell(`mkdir -p $(dirname ${packaged}) && printf '[Service]\\nExecStart=sleep infinity\\n' >${packaged}`)
  await lab.shell('systemctl daemon-reload && systemctl start vendor')
  const refused = await lab.forerun('install', '--system', '--now', '--override-unit', '--name', 'vendor', sleeper)
  assert.equal(refused.status, 1)
  assert.match(
    refused.stderr,
    /^forerun: vendor\.service is running already, from \/usr\/local\/lib\/systemd\/system\/vendor\.service$/m,
  )
  assert.equal(await lab.property('vendor', 'ActiveState'), 'active')

  await lab.shell('systemctl stop vendor')
  const { stderr } = await lab.must('install', '--system', '--now', '--override-unit', '--name', 'vendor', sleeper)
  assert.match(stderr, /The new vendor\.service takes the place of \/usr\/local\/lib/)
  assert.equal(await lab.property('vendor', 'FragmentPath'), '/etc/systemd/system/vendor.service')
  await lab.must('uninstall', 'vendor')
  assert.equal(await lab.property('vendor', 'FragmentPath'), packaged)
  await lab.shell('rm -r /usr/local/lib/systemd && systemctl daemon-reload')
})

test('what tmpfiles lines made goes with the container, unless it holds something', async () => {
  const lines = [
    'd /srv/$NAME 0755 - - - -',
    'f /srv/$NAME/text 0644 - - - kept',
    'f /srv/$NAME/empty 0644 - - -',
    'L /srv/link - - - - $NAME',
    'p /srv/pipe 0600 - - - -',
  ]
  const exports = { ...sleeping(), 'tmpfiles.template': lines.map((line) => `${line}\n`).join('') }
  const image = await lab.push('lines', busyboxImage({ exports }))
  await lab.must('install', '--system', image)
  assert.equal(
    await lab.shell('find /srv -mindepth 1 | sort | tr "\\n" " "'),
    '/srv/lines /srv/lines/empty /srv/lines/text /srv/link /srv/pipe',
  )
  const { stderr } = await lab.must('uninstall', 'lines')
  assert.match(stderr, /Kept \/srv\/lines\/text, which is not empty\./)
  assert.equal(await lab.shell('find /srv -mindepth 1 | sort | tr "\\n" " "'), '/srv/lines /srv/lines/text')
})
