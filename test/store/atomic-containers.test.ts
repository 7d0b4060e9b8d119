import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import {
  atomicCheckouts,
  readAtomicContainer,
  readAtomicInfo,
  surveyAtomicContainers,
} from '../../src/store/atomic-containers.ts'
import { scratch } from './scratch.ts'

const own = '/var/lib/forerun/containers'

/** A deployment with an `info` file of these keys, and what else lies in it. */
function deployment(folder: string, info: object | string, files: Readonly<Record<string, string>> = {}): string {
  mkdirSync(join(folder, 'rootfs'), { recursive: true })
  writeFileSync(join(folder, 'info'), typeof info === 'string' ? info : JSON.stringify(info, undefined, 4))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

/** As the tool wrote it in the middle of 2016. */
const first = {
  image: 'gscrivano/etcd',
  revision: '0a3a5ac7c5ab1f6b5a0b6d8a0e0f0c1f6d1ad1a7d5b0ef9e5a7f8f1a7a0f4a11',
  'ostree-commit': '5f0ad2a7bd11ef2cf34bdb1bb1ed0e9f1d3b6dc5b02f0b6f7d3e4c4cf2c3d901',
  created: 1469013842,
  values: { RUN_DIRECTORY: '/run', NAME: 'etcd', ETCD_PORT: 2379, DESTDIR: '/var/lib/containers/atomic/etcd.0' },
}

/** Of 2017: host files and packages. */
const second = {
  ...first,
  image: 'registry.example.com/rhel7/etcd:latest',
  'has-container-service': true,
  'installed-files': ['/usr/local/bin/etcdctl'],
  'rename-installed-files': {},
  'rpm-installed': null,
  'system-package': 'no',
  remote: '',
  values: { ...first.values, UUID: '2f6d8f5e-9e0a-4f43-8a32-1f2f38f0b8ea', HOST_UID: 0 },
}

/** Of 2018. */
const third = {
  ...second,
  'installed-files': null,
  'installed-files-checksum': { '/usr/local/bin/etcdctl': 'ab12', '/etc/etcd/etcd.conf': 'cd34' },
  'installed-files-template': ['/etc/etcd/etcd.conf'],
  'rename-installed-files': { '/etc/etcd/conf': '/etc/etcd/etcd.conf' },
  'use-links': false,
  runtime: '/bin/runc',
}

test('what the first versions did not write is filled in, and nothing is lost', () => {
  using folder = scratch()
  const service = deployment(join(folder.path, 'etcd.0'), first, { 'config.json': '{}' })
  assert.deepEqual(readAtomicInfo(service), {
    ...first,
    values: { RUN_DIRECTORY: '/run', NAME: 'etcd', ETCD_PORT: '2379', DESTDIR: '/var/lib/containers/atomic/etcd.0' },
    'has-container-service': true,
    'installed-files': [],
    'installed-files-checksum': {},
    'installed-files-template': [],
    'rename-installed-files': {},
    'rpm-installed': null,
    'system-package': 'no',
    remote: null,
    'use-links': true,
    runtime: '',
  })
  const files = deployment(join(folder.path, 'tools.0'), { image: 'tools' })
  utimesSync(join(files, 'info'), 1500000000, 1500000000)
  const { created, revision, 'has-container-service': hasService } = readAtomicInfo(files)
  assert.deepEqual([created, revision, hasService], [1500000000, '', false])
})

test('later versions are read by their own keys', () => {
  using folder = scratch()
  const info = readAtomicInfo(deployment(join(folder.path, 'etcd.0'), second))
  assert.deepEqual(
    [info['has-container-service'], info['installed-files'], info.remote, info.values.HOST_UID],
    [true, ['/usr/local/bin/etcdctl'], null, '0'],
  )
  const later = readAtomicInfo(deployment(join(folder.path, 'etcd.1'), third))
  assert.deepEqual(
    [later['installed-files'], later['installed-files-template'], later['use-links'], later.runtime],
    [['/usr/local/bin/etcdctl', '/etc/etcd/etcd.conf'], ['/etc/etcd/etcd.conf'], false, '/bin/runc'],
  )
})

test('an info file that is damaged, or says what cannot be, is refused', () => {
  using folder = scratch()
  const wrong: (object | string)[] = [
    '',
    '{"image": "etcd"',
    '[]',
    {},
    { image: '' },
    { ...third, values: { A: { B: 'c' } } },
    { ...third, 'installed-files': ['etc/x'] },
    { ...third, 'installed-files': ['/etc/../root/x'] },
    { ...third, 'installed-files-checksum': { '/a//b': 'x' } },
    { ...third, created: '2018' },
  ]
  for (const [index, info] of wrong.entries()) {
    const path = deployment(join(folder.path, `x${index}.0`), info)
    assert.throws(() => readAtomicInfo(path), isDamage, JSON.stringify(info))
  }
  mkdirSync(join(folder.path, 'none.0/info'), { recursive: true })
  assert.throws(() => readAtomicInfo(join(folder.path, 'none.0')), isDamage)
})

test('containers are told by their links; a damaged one does not hide the others, and one that was taken over is none', () => {
  using folder = scratch()
  const at = (name: string): string => join(folder.path, name)
  deployment(at('etcd.0'), second)
  deployment(at('etcd.1'), third)
  symlinkSync('etcd.1', at('etcd'))
  deployment(at('container.0.0'), first)
  symlinkSync(at('container.0.0'), at('container.0'))
  deployment(at('half.0'), first)
  deployment(at('half.1'), 'torn')
  symlinkSync('half.0', at('half'))
  symlinkSync('gone.0', at('gone'))
  symlinkSync('/etc', at('elsewhere'))
  symlinkSync('etcd.0', at('alias'))
  deployment(at('leftover.0'), first)
  symlinkSync(`${own}/taken`, at('taken'))
  symlinkSync(`${own}/taken.0`, at('taken.0'))
  const found = surveyAtomicContainers(folder.path, own)
  assert.deepEqual(
    found.map((each) => ('problem' in each ? `${each.name} damaged` : `${each.name} ${each.current.folder}`)),
    [
      'alias damaged',
      `container.0 ${at('container.0.0')}`,
      'elsewhere damaged',
      `etcd ${at('etcd.1')}`,
      'gone damaged',
      `half ${at('half.0')}`,
    ],
  )
  const etcd = readAtomicContainer(folder.path, 'etcd', { own })
  assert.deepEqual([etcd?.other?.folder, etcd?.otherProblem], [at('etcd.0'), undefined])
  const half = readAtomicContainer(folder.path, 'half', { own })
  assert.ok(half?.other === undefined && isDamage(half?.otherProblem))
  assert.equal(readAtomicContainer(folder.path, 'taken', { own }), undefined)
  assert.equal(readAtomicContainer(folder.path, 'nothing', { own }), undefined)
  assert.deepEqual(surveyAtomicContainers(at('absent'), own), [])
})

test('the settings may name another folder', () => {
  using folder = scratch()
  const settings = join(folder.path, 'atomic.conf')
  assert.equal(atomicCheckouts(settings), '/var/lib/containers/atomic')
  for (const [text, wanted] of [
    ['default_scanner: openscap\n', '/var/lib/containers/atomic'],
    ['# checkout_path: /srv/no\ncheckout_path: /srv/atomic/\n', '/srv/atomic'],
    ['checkout_path: "/srv/with blank"  # here\n', '/srv/with blank'],
    ["checkout_path : '/srv/x'\n", '/srv/x'],
    ['checkout_path:\n', '/var/lib/containers/atomic'],
    ['checkout_path: relative\n', '/var/lib/containers/atomic'],
  ] as const) {
    writeFileSync(settings, text)
    assert.equal(atomicCheckouts(settings), wanted, text)
  }
})

function isDamage(error: unknown): boolean {
  return error instanceof ForerunError && error.code === 'store' && error.hint !== undefined
}
