import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import type { InstallResult } from '../../src/operations/containers/install.ts'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import { differences, type Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** What images carry under /exports, in every combination. */
let lab: InstalledHost
let untouched: Snapshot

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  untouched = lab.files()
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  await lab.shell('rm -rf /srv/*')
  assert.deepEqual(changesSince(untouched, lab), [])
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
const service = serviceExports(loop, { service: 'Type=exec' })

/** Each file with what it alone puts on the host, for a container named NAME. */
const parts = {
  'config.json.template': { exports: { 'config.json.template': service['config.json.template'] }, files: [] },
  'service.template': { exports: { 'service.template': service['service.template'] }, files: [] },
  'tmpfiles.template': {
    exports: { 'tmpfiles.template': 'd $STATE_DIRECTORY/$NAME 0750 1 2 - -\n' },
    files: ['/etc/tmpfiles.d/NAME.conf', '/var/lib/NAME'],
  },
  'manifest.json': {
    exports: { 'manifest.json': { version: '1.0', renameFiles: { '/srv/file': '/srv/$NAME-file' } } },
    files: [],
  },
  hostfs: { exports: { hostfs: { '/srv/file': 'text' } }, files: ['/srv/file'] },
} satisfies Record<string, { exports: Exports; files: string[] }>

const ofEveryService = [
  '/etc/systemd/system/NAME.service',
  '/etc/systemd/system/NAME.service.d',
  '/etc/systemd/system/NAME.service.d/10-forerun.conf',
  '/etc/systemd/system/multi-user.target.wants/NAME.service',
]

test('an image with any of the files of /exports installs and runs, and puts on the host what these say', async () => {
  const names = Object.keys(parts) as (keyof typeof parts)[]
  for (let bits = 0; bits < 2 ** names.length; bits++) {
    const chosen = names.filter((_, index) => (bits & (1 << index)) !== 0)
    const exports = Object.assign({}, ...chosen.map((name) => parts[name].exports)) as Exports
    const name = `subset${bits}`
    const image = await lab.push(name, busyboxImage({ entrypoint: loop, ...(bits === 0 ? {} : { exports }) }))
    const places = { paths: ['/etc/systemd', '/etc/tmpfiles.d', '/srv', '/var/lib'], except: ['/var/lib/forerun'] }
    const before = lab.host.snapshot(places)
    await lab.must('install', '--system', '--now', '--read-only', image)
    assert.equal(await lab.property(name, 'ActiveState'), 'active', chosen.join())
    const renamed = chosen.includes('manifest.json') ? '/srv/NAME-file' : '/srv/file'
    const expected = [...ofEveryService, ...chosen.flatMap((part) => parts[part].files)]
      .map((path) => (path === '/srv/file' ? renamed : path).replaceAll('NAME', name))
      .map((path) => `+ ${path}`)
    assert.deepEqual(signed(differences(before, lab.host.snapshot(places))), expected.sort(), chosen.join())
    await lab.must('uninstall', name)
    assert.deepEqual(differences(before, lab.host.snapshot(places)), [], chosen.join())
  }
})

test('a config.json without a suffix is taken as it is, and wins', async () => {
  const configuration = JSON.stringify(service['config.json.template']).replace('"$NAME"', '"$literal"')
  const exports = { ...service, 'config.json': configuration, 'config.json.template': 'no JSON at all: $UNKNOWN' }
  await lab.must('install', '--now', await lab.push('plain', busyboxImage({ exports })))
  assert.equal(await lab.inside('plain', 'hostname'), '$literal\n')
})

test('host files are renamed, rendered, linked and owned as the image says', async () => {
  const image = await lab.push(
    'files',
    busyboxImage({
      exports: {
        ...service,
        'manifest.json': {
          version: '1.0',
          defaultValues: { PLACE: 'somewhere', COLOR: 'red' },
          installedFilesTemplate: ['/etc/thing/conf', '/srv/named'],
          renameFiles: {
            '/etc/thing': '/srv/$PLACE/$NAME',
            '/etc/thing/deep/other': '/srv/other-$NAME',
            '/srv/named': '/srv/$NAME-$COLOR',
          },
        },
        hostfs: {
          '/etc/thing': { type: 'directory', mode: 0o2750, gid: 7 },
          // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the image's template
          '/etc/thing/conf': { content: 'color=$COLOR cost=$$5 name=${NAME}\n', mode: 0o640, uid: 3, gid: 4 },
          '/etc/thing/deep/other': 'untouched $COLOR $',
          '/etc/thing/link': { target: '../conf' },
          '/etc/thing/empty': { type: 'directory', mode: 0o700 },
          '/srv/named': '$COLOR',
          '/usr/local/bin/tool': { content: '#!/bin/sh\necho tool\n', mode: 0o755 },
        },
      },
    }),
  )
  const { json } = await lab.must<InstallResult>('install', '--json', '--set', 'COLOR=blue', image)
  assert.ok(json.outcome === 'installed')
  assert.deepEqual([...json.files].sort(), [
    '/srv/files-blue',
    '/srv/other-files',
    '/srv/somewhere/files/conf',
    '/srv/somewhere/files/link',
    '/usr/local/bin/tool',
  ])
  assert.equal(await lab.shell('cat /srv/somewhere/files/conf'), 'color=blue cost=$5 name=files')
  assert.equal(await lab.shell('cat /srv/other-files'), 'untouched $COLOR $')
  assert.equal(await lab.shell('cat /srv/files-blue'), 'blue')
  assert.equal(await lab.shell('readlink /srv/somewhere/files/link'), '../conf')
  assert.equal(await lab.shell('tool'), 'tool')
  assert.deepEqual((await lab.shell("cd /srv && find . -mindepth 1 -printf '%y %m %U:%G %P\\n' | sort")).split('\n'), [
    'd 2750 0:7 somewhere/files',
    'd 700 0:0 somewhere/files/empty',
    'd 755 0:0 somewhere',
    'd 755 0:0 somewhere/files/deep',
    'f 640 3:4 somewhere/files/conf',
    'f 644 0:0 files-blue',
    'f 644 0:0 other-files',
    'l 777 0:0 somewhere/files/link',
  ])
  const info = JSON.parse(await lab.shell('cat /var/lib/forerun/containers/files/info'))
  assert.deepEqual(info['installed-files-template'], ['/etc/thing/conf', '/srv/named'])
  assert.deepEqual(info['rename-installed-files'], {
    '/etc/thing': '/srv/somewhere/files',
    '/etc/thing/deep/other': '/srv/other-files',
    '/srv/named': '/srv/files-blue',
  })
})

test('noContainerService installs the files alone: no unit, no root file system', async () => {
  const image = await lab.push(
    'files-only',
    busyboxImage({
      exports: {
        ...service,
        'tmpfiles.template': 'd /var/lib/unwanted - - - -\n',
        'manifest.json': { version: '1.0', noContainerService: true },
        hostfs: { '/srv/only': 'text' },
      },
    }),
  )
  const { stdout } = await lab.must('install', '--now', image)
  assert.match(stdout, /^Installed the files of .* as files-only\.$/m)
  assert.deepEqual(signed(changesSince(untouched, lab)), ['+ /srv/only'])
  assert.equal(await lab.shell('ls /var/lib/forerun/containers/files-only/'), 'info\nplaced')
  const { json } = await lab.must<{ state: string }[]>('containers', 'list', '--all', '--json')
  assert.deepEqual(
    json.map(({ state }) => state),
    ['no service'],
  )
  for (const verb of ['run', 'stop']) {
    const { status, stderr } = await lab.forerun(verb, 'files-only')
    assert.equal(status, 1)
    assert.match(stderr, /'files-only' only installs files and has no service/)
  }
})

test('what a host file holds never changes with the checkout, whatever useLinks says', async () => {
  for (const useLinks of [true, false]) {
    const exports = {
      ...service,
      'manifest.json': { version: '1.0', useLinks },
      hostfs: { '/usr/local/bin/tool': { content: 'tool', mode: 0o755 } },
    }
    const image = await lab.push('links', busyboxImage({ exports }))
    await lab.must('install', image)
    assert.equal(await lab.shell('stat -c %h /usr/local/bin/tool'), '1')
    await writeFile(join(lab.host.root, 'usr/local/bin/tool'), 'edited')
    assert.equal(
      await lab.shell('cat /var/lib/forerun/containers/links/rootfs/exports/hostfs/usr/local/bin/tool'),
      'tool',
    )
    await lab.must('uninstall', 'links')
    await lab.shell('rm /usr/local/bin/tool')
    await lab.must('images', 'delete', image)
  }
})

test('a host file that exists already is left alone, told of, and outlives the container', async () => {
  await lab.shell('echo mine >/srv/file && mkdir /srv/folder && chmod 700 /srv/folder && ln -s /nowhere /srv/dangling')
  const before = lab.files()
  const hostfs = {
    '/srv/file': 'theirs',
    '/srv/folder': { type: 'directory', mode: 0o777 },
    '/srv/folder/new': 'x',
    '/srv/dangling': 'y',
  } as const
  const image = await lab.push('cautious', busyboxImage({ exports: { ...service, hostfs } }))
  const { stderr, json } = await lab.must<InstallResult>('install', '--json', image)
  assert.match(stderr, /^File \/srv\/file already exists$/m)
  assert.match(stderr, /^File \/srv\/dangling already exists$/m)
  assert.ok(json.outcome === 'installed')
  assert.deepEqual(json.files, ['/srv/folder/new'])
  assert.equal(await lab.shell('cat /srv/file; stat -c %a /srv/folder'), 'mine\n700')
  await lab.must('uninstall', 'cautious')
  assert.deepEqual(changesSince(before, lab), [])
})

test('absent sources of bind mounts are made as directories, and go with the container', async () => {
  const mounts = ['/var/lib/made/deep', '/srv'].map((source, index) => ({
    ...{ destination: `/mount${index}`, type: 'bind', source, options: ['bind', 'rw'] },
  }))
  const image = await lab.push('mounting', busyboxImage({ exports: serviceExports(loop, { mounts }) }))
  await lab.must('install', '--now', image)
  assert.equal(await lab.shell('cat /etc/tmpfiles.d/mounting.conf'), 'd /var/lib/made/deep :0700 :0 :0 - -')
  assert.equal(await lab.inside('mounting', 'stat', '-c', '%a', '/mount0'), '700\n')
  await lab.must('uninstall', 'mounting')
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('the info file has the keys of the old tool', async () => {
  const image = await lab.push('informed', busyboxImage({ exports: { ...service, hostfs: { '/srv/file': 'text' } } }))
  await lab.must('install', '--set', 'ODD=one', image)
  const info = JSON.parse(await lab.shell('cat /var/lib/forerun/containers/informed/info'))
  assert.equal(info.image, `${image}:latest`)
  assert.match(info.revision, /^sha256:[0-9a-f]{64}$/)
  assert.ok(Math.abs(info.created - Date.now() / 1000) < 60)
  assert.equal(info.values.ODD, 'one')
  assert.equal(info['has-container-service'], true)
  assert.deepEqual(info['installed-files'], ['/srv/file'])
  assert.match(info['installed-files-checksum']['/srv/file'], /^[0-9a-f]{64}$/)
  assert.equal(info.runtime, '/usr/sbin/runc')
  assert.deepEqual(
    [
      'installed-files-template',
      'rename-installed-files',
      'rpm-installed',
      'system-package',
      'remote',
      'use-links',
    ].filter((key) => !(key in info)),
    [],
  )
})

/** Differences, reduced to the sign and the path. */
function signed(lines: readonly string[]): string[] {
  return lines.map((line) => line.split(' ', 2).join(' ')).sort()
}
