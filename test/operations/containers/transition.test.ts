import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PlacedFile } from '../../../src/host/placed-file.ts'
import type { PlannedFile } from '../../../src/operations/containers/plan-files.ts'
import {
  type Arrival,
  type Departure,
  transitionChanges,
  transitionsChanges,
} from '../../../src/operations/containers/transition.ts'
import { hostInMemory, sha256 } from './host-in-memory.ts'

const root = { uid: 0, gid: 0 }
const units = '/etc/systemd/system'
const container = { name: 'etcd', runtime: '/usr/bin/runc' }

function file(role: PlacedFile['role'], path: string, text: string): PlannedFile {
  return { role, path, kind: 'file', mode: 0o644, ...root, digest: sha256(text), content: { bytes: Buffer.from(text) } }
}

function directory(role: PlacedFile['role'], path: string): PlannedFile {
  return { role, path, kind: 'directory', mode: 0o755, ...root }
}

function link(role: PlacedFile['role'], path: string, target: string): PlannedFile {
  return { role, path, kind: 'symlink', target, ...root }
}

function written(path: string, text: string) {
  return { kind: 'write-file', path, content: { bytes: Buffer.from(text) }, mode: 0o644, ...root }
}

const wants = `${units}/multi-user.target.wants/etcd.service`
const files: readonly PlannedFile[] = [
  directory('host', '/srv/etcd'),
  file('host', '/srv/etcd/conf', 'conf'),
  link('host', '/srv/etcd/link', 'conf'),
  directory('drop-in', `${units}/etcd.service.d`),
  file('drop-in', `${units}/etcd.service.d/10-forerun.conf`, 'drop-in'),
  file('tmpfiles', '/etc/tmpfiles.d/etcd.conf', 'd /var/lib/etcd'),
  file('unit', `${units}/etcd.service`, 'unit'),
  file('mount', `${units}/rootfs.mount`, 'mount'),
  link('enablement', wants, '../etcd.service'),
]

const arrival: Arrival = {
  name: 'etcd',
  folder: '/var/lib/forerun/containers/etcd.0',
  staged: '/var/lib/forerun/containers/.forerun-x',
  files,
  service: {
    unit: 'etcd.service',
    container,
    mountUnit: 'rootfs.mount',
    tmpfiles: { file: '/var/lib/forerun/containers/etcd.0/tmpfiles-etcd.conf', absent: ['/var/lib/etcd'] },
    volumes: [{ kind: 'place-volume', staged: '/var/lib/.staged', path: '/var/lib/etcd/data' }],
    goesOn: false,
    keptRoot: undefined,
  },
}

describe('the changes of an installation', () => {
  it('place the deployment, then files, then the unit, and enable it last', () => {
    assert.deepEqual(transitionChanges({ to: arrival }, hostInMemory({})).changes, [
      { kind: 'reload', when: 'undone' },
      { kind: 'rename', path: '/var/lib/forerun/containers/.forerun-x', to: '/var/lib/forerun/containers/etcd.0' },
      { kind: 'make-symlink', path: '/var/lib/forerun/containers/etcd', target: 'etcd.0', ...root },
      { kind: 'make-directory', path: '/srv/etcd', mode: 0o755, ...root },
      written('/srv/etcd/conf', 'conf'),
      { kind: 'make-symlink', path: '/srv/etcd/link', target: 'conf', ...root },
      { kind: 'make-directory', path: `${units}/etcd.service.d`, mode: 0o755, ...root },
      written(`${units}/etcd.service.d/10-forerun.conf`, 'drop-in'),
      {
        kind: 'create-tmpfiles',
        file: '/var/lib/forerun/containers/etcd.0/tmpfiles-etcd.conf',
        absent: ['/var/lib/etcd'],
      },
      { kind: 'place-volume', staged: '/var/lib/.staged', path: '/var/lib/etcd/data' },
      written('/etc/tmpfiles.d/etcd.conf', 'd /var/lib/etcd'),
      written(`${units}/etcd.service`, 'unit'),
      written(`${units}/rootfs.mount`, 'mount'),
      { kind: 'reload', when: 'applied' },
      { kind: 'load', unit: 'etcd.service' },
      { kind: 'mount', unit: 'rootfs.mount' },
      { kind: 'unit-state', unit: 'etcd.service', container },
      { kind: 'make-symlink', path: wants, target: '../etcd.service', ...root },
      { kind: 'reload', when: 'applied' },
    ])
  })

  it('of host files only touch no unit', () => {
    const changes = transitionChanges(
      { to: { ...arrival, files: files.slice(0, 2), service: undefined } },
      hostInMemory({}),
    ).changes
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['rename', 'make-symlink', 'make-directory', 'write-file'],
    )
  })

  it('leave out what another container has placed already, and never a unit that is in the way', () => {
    const host = hostInMemory({ '/srv/etcd/conf': 'conf', [`${units}/etcd.service`]: 'foreign' })
    const changes = transitionChanges({ to: arrival }, host).changes
    const paths = changes.flatMap((change) => ('path' in change ? [change.path] : []))
    assert.ok(!paths.includes('/srv/etcd') && !paths.includes('/srv/etcd/conf'))
    assert.ok(paths.includes(`${units}/etcd.service`))
  })
})

const departure: Departure = {
  name: 'etcd',
  folder: '/var/lib/forerun/containers/etcd.0',
  folders: ['/var/lib/forerun/containers/etcd.0'],
  files,
  made: ['/var/lib/etcd'],
  service: {
    unit: 'etcd.service',
    container,
    mountUnits: ['rootfs.mount'],
    tmpfiles: 'D /run/etcd',
    links: [wants, `${units}/added.target.wants/etcd.service`],
    active: true,
    keptRoot: undefined,
  },
}

const installed = {
  '/srv/etcd/conf': 'conf',
  '/srv/etcd/link': { target: 'conf' },
  [`${units}/etcd.service.d/10-forerun.conf`]: 'drop-in',
  '/etc/tmpfiles.d/etcd.conf': 'd /var/lib/etcd',
  [`${units}/etcd.service`]: 'unit',
  [`${units}/rootfs.mount`]: 'mount',
  [wants]: { target: '../etcd.service' },
}

describe('the changes of several containers at once', () => {
  it('remove once what two of them placed, and folders after the files of both', () => {
    const other = { ...departure, name: 'kube', folders: ['/var/lib/forerun/containers/kube.0'], service: undefined }
    const { changes, plans } = transitionsChanges([{ from: departure }, { from: other }], hostInMemory(installed))
    const removed = changes.flatMap((change) => (change.kind === 'remove-file' ? [change.path] : []))
    assert.deepEqual(removed.length, new Set(removed).size)
    for (const name of ['etcd', 'kube']) assert.ok(removed.includes(`/var/lib/forerun/containers/${name}`))
    const kinds = changes.map(({ kind }) => kind)
    assert.ok(kinds.indexOf('remove-empty') > kinds.lastIndexOf('remove-file'))
    assert.deepEqual(
      plans.map(({ kept }) => kept),
      [[], []],
    )
  })
})

describe('the changes of an uninstallation', () => {
  it('remove what was chosen of its updates before the deployments, so that it can be undone', () => {
    const updateSettings = '/var/lib/forerun/containers/.update-etcd.json'
    const { changes } = transitionChanges({ from: { ...departure, updateSettings } }, hostInMemory(installed))
    const index = changes.findIndex((change) => 'path' in change && change.path === updateSettings)
    assert.deepEqual(changes[index], { kind: 'remove-file', path: updateSettings })
    assert.equal(changes[index + 1]?.kind, 'discard')
  })

  it('disable the unit, stop it, and remove what was placed; folders go when they are empty', () => {
    const { changes, kept } = transitionChanges({ from: departure }, hostInMemory(installed))
    const removed = (path: string) => ({ kind: 'remove-file', path })
    assert.deepEqual(kept, [])
    assert.deepEqual(changes, [
      { kind: 'unit-state', unit: 'etcd.service', container },
      { kind: 'reload', when: 'undone' },
      removed(wants),
      removed(`${units}/added.target.wants/etcd.service`),
      { kind: 'reload', when: 'applied' },
      { kind: 'stop', unit: 'etcd.service', container },
      { kind: 'unmount', unit: 'rootfs.mount', when: 'applied' },
      { kind: 'remove-tmpfiles', lines: 'D /run/etcd' },
      removed('/srv/etcd/conf'),
      removed('/srv/etcd/link'),
      removed(`${units}/etcd.service.d/10-forerun.conf`),
      removed('/etc/tmpfiles.d/etcd.conf'),
      removed(`${units}/etcd.service`),
      removed(`${units}/rootfs.mount`),
      removed('/var/lib/forerun/containers/etcd'),
      { kind: 'discard', path: '/var/lib/forerun/containers/etcd.0' },
      { kind: 'remove-empty', paths: ['/srv/etcd', `${units}/etcd.service.d`, '/var/lib/etcd'] },
      { kind: 'reload', when: 'applied' },
    ])
  })

  it('keep host files that were modified, and tell of them; a unit goes all the same', () => {
    const host = hostInMemory({
      ...installed,
      '/srv/etcd/conf': 'mine',
      '/srv/etcd/link': { target: 'mine' },
      [`${units}/etcd.service`]: 'edited',
    })
    const { changes, kept } = transitionChanges({ from: departure }, host)
    assert.deepEqual(kept, ['/srv/etcd/conf', '/srv/etcd/link'])
    const removed = changes.flatMap((change) => (change.kind === 'remove-file' ? [change.path] : []))
    assert.ok(removed.includes(`${units}/etcd.service`))
    assert.ok(!removed.includes('/srv/etcd/conf'))
  })

  it('leave to another container what it placed, too, without a word', () => {
    const others = ['/srv/etcd', '/srv/etcd/conf', '/var/lib/etcd']
    const { changes, kept } = transitionChanges({ from: departure }, hostInMemory(installed, { others }))
    assert.deepEqual(kept, [])
    const touched = changes.flatMap((change) =>
      'path' in change ? [change.path] : 'paths' in change ? change.paths : [],
    )
    for (const path of others) assert.ok(!touched.includes(path), path)
  })

  it('miss nothing that somebody has removed by hand', () => {
    const { changes } = transitionChanges({ from: departure }, hostInMemory({}))
    assert.deepEqual(
      changes.flatMap((change) => (change.kind === 'remove-file' ? [change.path] : [])),
      [wants, `${units}/added.target.wants/etcd.service`, '/var/lib/forerun/containers/etcd'],
    )
  })
})
