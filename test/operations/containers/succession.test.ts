import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PlacedFile } from '../../../src/host/placed-file.ts'
import type { PlannedFile } from '../../../src/operations/containers/plan-files.ts'
import { type Arrival, type Departure, transitionChanges } from '../../../src/operations/containers/transition.ts'
import type { Change } from '../../../src/transaction/change.ts'
import { hostInMemory, sha256 } from './host-in-memory.ts'

const root = { uid: 0, gid: 0 }
const units = '/etc/systemd/system'
const containers = '/var/lib/forerun/containers'
const container = { name: 'etcd', runtime: '/usr/bin/runc' }
const service = { unit: 'etcd.service', container }
const wants = `${units}/multi-user.target.wants/etcd.service`
const dropIn = `${units}/etcd.service.d/10-forerun.conf`

function file(role: PlacedFile['role'], path: string, text: string, mode = 0o644): PlannedFile {
  return { role, path, kind: 'file', mode, ...root, digest: sha256(text), content: { bytes: Buffer.from(text) } }
}

function link(role: PlacedFile['role'], path: string, target: string): PlannedFile {
  return { role, path, kind: 'symlink', target, ...root }
}

/** What version N places. */
function placedBy(version: number): PlannedFile[] {
  const folder = `${containers}/etcd.${version}`
  return [
    file('host', '/etc/etcd/conf', `conf ${version}`),
    file('host', '/etc/etcd/same', 'same'),
    file('host', `/etc/etcd/only-${version}`, 'only'),
    { role: 'host', path: `/etc/folder-${version}`, kind: 'directory', mode: 0o755, ...root },
    link('host', '/etc/etcd/link', `target-${version}`),
    file('drop-in', dropIn, `drop-in ${folder}`),
    file('unit', `${units}/etcd.service`, `unit ${folder}`),
    file('mount', `${units}/rootfs-${version}.mount`, 'mount'),
    link('enablement', wants, '../etcd.service'),
  ]
}

function onHost(files: readonly PlannedFile[]): Record<string, string | { target: string }> {
  return Object.fromEntries(
    files.map((each) => {
      if (each.kind === 'symlink') return [each.path, { target: each.target }]
      if (each.kind === 'directory') return [`${each.path}/.`, '']
      return [each.path, 'bytes' in each.content ? Buffer.from(each.content.bytes).toString() : '']
    }),
  )
}

function from(options: { active?: boolean; keptRoot?: string; files?: readonly PlannedFile[] } = {}): Departure {
  return {
    name: 'etcd',
    folder: `${containers}/etcd.0`,
    folders: [`${containers}/etcd.0`, `${containers}/etcd.1`],
    files: options.files ?? placedBy(0),
    made: ['/var/lib/etcd'],
    service: {
      ...service,
      mountUnits: ['rootfs-0.mount'],
      tmpfiles: '',
      links: [wants],
      active: options.active ?? true,
      keptRoot: options.keptRoot,
    },
  }
}

function to(options: { goesOn?: boolean; keptRoot?: string; staged?: string | undefined } = {}): Arrival {
  return {
    name: 'etcd',
    folder: `${containers}/etcd.1`,
    staged: 'staged' in options ? options.staged : `${containers}/.forerun-x`,
    files: placedBy(1),
    service: {
      ...service,
      mountUnit: 'rootfs-1.mount',
      tmpfiles: { file: `${containers}/etcd.1/tmpfiles-etcd.conf`, absent: ['/run/etcd'] },
      volumes: [],
      goesOn: options.goesOn ?? true,
      keptRoot: options.keptRoot,
    },
  }
}

function written(kind: 'write-file' | 'replace-file', path: string, text: string): Change {
  return { kind, path, content: { bytes: Buffer.from(text) }, mode: 0o644, ...root }
}

function touching(changes: readonly Change[], path: string): Change[] {
  return changes.filter((change) => 'path' in change && change.path === path)
}

function kinds(changes: readonly Change[]): string[] {
  return changes.map(({ kind }) => kind)
}

describe('the changes from one deployment to the next', () => {
  it('prepare beside the running service, switch each file in one step, and let go of its root at the end', () => {
    const { changes, kept, saved } = transitionChanges({ from: from(), to: to() }, hostInMemory(onHost(placedBy(0))))
    assert.deepEqual([kept, saved], [[], []])
    assert.deepEqual(changes, [
      { kind: 'reload', when: 'undone' },
      { kind: 'discard', path: `${containers}/etcd.1` },
      { kind: 'rename', path: `${containers}/.forerun-x`, to: `${containers}/etcd.1` },
      written('write-file', `${units}/rootfs-1.mount`, 'mount'),
      { kind: 'reload', when: 'applied' },
      { kind: 'mount', unit: 'rootfs-1.mount' },
      { kind: 'create-tmpfiles', file: `${containers}/etcd.1/tmpfiles-etcd.conf`, absent: ['/run/etcd'] },
      { kind: 'unit-state', ...service },
      { kind: 'reload', when: 'undone' },
      { kind: 'unmount', unit: 'rootfs-0.mount', when: 'finished' },
      { kind: 'replace-symlink', path: `${containers}/etcd`, target: 'etcd.1', ...root },
      written('replace-file', '/etc/etcd/conf', 'conf 1'),
      written('write-file', '/etc/etcd/only-1', 'only'),
      { kind: 'make-directory', path: '/etc/folder-1', mode: 0o755, ...root },
      { kind: 'replace-symlink', path: '/etc/etcd/link', target: 'target-1', ...root },
      written('replace-file', dropIn, `drop-in ${containers}/etcd.1`),
      written('replace-file', `${units}/etcd.service`, `unit ${containers}/etcd.1`),
      { kind: 'remove-file', path: '/etc/etcd/only-0' },
      { kind: 'remove-file', path: `${units}/rootfs-0.mount` },
      { kind: 'remove-empty', paths: ['/etc/folder-0'] },
      { kind: 'reload', when: 'applied' },
      { kind: 'load', unit: 'etcd.service' },
    ])
  })

  it('go back to a folder that is there, and leave a stopped service stopped', () => {
    const host = hostInMemory(onHost(placedBy(0)))
    const transition = { from: from({ active: false }), to: to({ goesOn: false, staged: undefined }) }
    const { changes } = transitionChanges(transition, host)
    assert.ok(!kinds(changes).some((kind) => ['discard', 'rename', 'stop'].includes(kind)))
  })

  it('stop a running service that is not to be started', () => {
    const { changes } = transitionChanges({ from: from(), to: to({ goesOn: false }) }, hostInMemory({}))
    assert.ok(kinds(changes).includes('stop'))
  })

  it('take along what was written to the root, between stopping the service and mounting the next root', () => {
    const transition = { from: from({ keptRoot: '/0/upper' }), to: to({ keptRoot: '/1/upper' }) }
    const { changes } = transitionChanges(transition, hostInMemory({}))
    const wanted = ['stop', 'unmount', 'rename', 'mount']
    const moved = changes.findIndex((change) => change.kind === 'rename' && change.to === '/1/upper')
    const order = kinds(changes).filter(
      (kind, index) => wanted.includes(kind) && (kind !== 'rename' || index === moved),
    )
    assert.deepEqual(order, wanted)
  })

  it('keep what was modified: host files as they are, a unit with its folder changed, and a copy of a drop-in', () => {
    const host = hostInMemory({
      ...onHost(placedBy(0)),
      '/etc/etcd/conf': 'mine',
      '/etc/etcd/only-0': 'mine',
      [`${units}/etcd.service`]: `my unit in ${containers}/etcd.0`,
      [dropIn]: 'my drop-in',
    })
    const { changes, kept, saved } = transitionChanges({ from: from(), to: to() }, host)
    assert.deepEqual(kept, ['/etc/etcd/conf', `${units}/etcd.service`, '/etc/etcd/only-0'])
    assert.deepEqual(saved, [`${dropIn}.saved`])
    assert.deepEqual(touching(changes, '/etc/etcd/conf'), [])
    assert.deepEqual(touching(changes, '/etc/etcd/only-0'), [])
    assert.deepEqual(touching(changes, `${units}/etcd.service`), [
      written('replace-file', `${units}/etcd.service`, `my unit in ${containers}/etcd.1`),
    ])
    assert.deepEqual(
      changes.filter((change) => 'path' in change && change.path.startsWith(dropIn)),
      [
        { kind: 'write-file', path: `${dropIn}.saved`, content: { copyOf: dropIn }, mode: 0o644, ...root },
        written('replace-file', dropIn, `drop-in ${containers}/etcd.1`),
      ],
    )
  })

  it('keep nothing back where somebody has made of a file what it is to be', () => {
    const host = hostInMemory({ ...onHost(placedBy(0)), '/etc/etcd/conf': 'conf 1' })
    const { changes, kept } = transitionChanges({ from: from(), to: to() }, host)
    assert.deepEqual(kept, [])
    assert.deepEqual(touching(changes, '/etc/etcd/conf'), [written('replace-file', '/etc/etcd/conf', 'conf 1')])
  })

  it('do not enable a unit again that an administrator has disabled, and make again what somebody has removed', () => {
    const { [wants]: _, '/etc/etcd/same': __, ...present } = onHost(placedBy(0))
    const { changes } = transitionChanges({ from: from(), to: to() }, hostInMemory(present))
    assert.deepEqual(touching(changes, wants), [])
    assert.deepEqual(touching(changes, '/etc/etcd/same'), [written('write-file', '/etc/etcd/same', 'same')])
  })

  it('leave to other containers what they placed, too', () => {
    const host = hostInMemory(onHost(placedBy(0)), { others: ['/etc/etcd/only-0', '/etc/folder-0'] })
    const { changes } = transitionChanges({ from: from(), to: to() }, host)
    assert.deepEqual(touching(changes, '/etc/etcd/only-0'), [])
    assert.ok(!kinds(changes).includes('remove-empty'))
  })

  it('replace a file whose kind, mode or content is another one, and nothing else', () => {
    const before = [file('host', '/a', 'a'), file('host', '/b', 'b'), file('host', '/c', 'c')]
    const after = [file('host', '/a', 'a'), file('host', '/b', 'b', 0o600), link('host', '/c', 'c')]
    const transition = { from: from({ files: before }), to: { ...to(), files: after } }
    const { changes } = transitionChanges(transition, hostInMemory(onHost(before)))
    const host = changes.filter((change) => 'path' in change && change.path.length === 2)
    assert.deepEqual(host, [
      { kind: 'replace-file', path: '/b', content: { bytes: Buffer.from('b') }, mode: 0o600, ...root },
      { kind: 'remove-file', path: '/c' },
      { kind: 'make-symlink', path: '/c', target: 'c', ...root },
    ])
  })

  it('disable, stop and remove the unit of one whose next deployment has no service', () => {
    const { service: _, ...files } = to()
    const next = { ...files, service: undefined, files: files.files.filter(({ role }) => role === 'host') }
    const { changes } = transitionChanges({ from: from(), to: next }, hostInMemory(onHost(placedBy(0))))
    const removed = changes.flatMap((change) => (change.kind === 'remove-file' ? [change.path] : []))
    assert.deepEqual(removed, [wants, '/etc/etcd/only-0', dropIn, `${units}/etcd.service`, `${units}/rootfs-0.mount`])
    assert.ok(kinds(changes).includes('stop') && kinds(changes).includes('unmount'))
    assert.ok(!kinds(changes).some((kind) => kind === 'load' || kind === 'mount'))
  })
})
