import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adoptionChanges } from '../../../src/operations/containers/adoption-changes.ts'
import type { AdoptedDeployment } from '../../../src/operations/containers/adoption-plan.ts'
import type { PlannedFile } from '../../../src/operations/containers/plan-files.ts'
import { sha256 } from './host-in-memory.ts'

const [checkouts, containers] = ['/var/lib/containers/atomic', '/var/lib/forerun/containers']
const root = { mode: 0o644, uid: 0, gid: 0 }

function planned(role: PlannedFile['role'], path: string): PlannedFile {
  return { role, path, kind: 'file', ...root, digest: sha256(path), content: { bytes: Buffer.from(path) } }
}

function deployment(slot: string, hasService: boolean): AdoptedDeployment {
  const files = [
    planned('host', '/etc/old'),
    ...(hasService ? [planned('drop-in', '/etc/drop-in'), planned('unit', '/etc/unit')] : []),
  ]
  const info = { 'has-container-service': hasService, runtime: '/bin/runc' } as AdoptedDeployment['info']
  const rewritten = hasService ? [{ path: `${checkouts}/${slot}/config.json`, text: '{}', ...root }] : []
  return {
    name: 'old',
    from: `${checkouts}/${slot}`,
    folder: `${containers}/${slot}`,
    info,
    files,
    rewritten,
    unknown: [],
  }
}

function told(changes: ReturnType<typeof adoptionChanges>): string[] {
  return changes.map((change) => {
    const subject =
      'path' in change ? change.path : 'when' in change ? change.when : 'unit' in change ? change.unit : ''
    return `${change.kind} ${subject.replace(/[0-9a-f]{64}/, 'DIGEST')}`
  })
}

test('the deployments move and leave links, then the container is known, then the unit; nothing is started or stopped', () => {
  const onHost = [{ path: '/etc/unit', text: 'new', ...root }]
  const slots = { current: deployment('old.1', true), other: deployment('old.0', true) }
  const moved = (slot: string): string[] => [
    `rename ${checkouts}/${slot}`,
    `make-symlink ${checkouts}/${slot}`,
    `make-directory ${containers}/${slot}/placed`,
    ...Array(3).fill(`write-file ${containers}/${slot}/placed/DIGEST`),
    `replace-file ${containers}/${slot}/config.json`,
    `replace-file ${containers}/${slot}/info`,
  ]
  assert.deepEqual(told(adoptionChanges({ name: 'old', checkouts, containers, ...slots, onHost })), [
    'unit-state old.service',
    'reload undone',
    ...moved('old.0'),
    ...moved('old.1'),
    `make-symlink ${containers}/old`,
    `replace-symlink ${checkouts}/old`,
    'replace-file /etc/unit',
    'write-file /etc/drop-in',
    'reload applied',
  ])
})

test('what only has host files touches no unit', () => {
  const slots = { current: deployment('old.0', false), other: undefined }
  assert.deepEqual(told(adoptionChanges({ name: 'old', checkouts, containers, ...slots, onHost: [] })), [
    `rename ${checkouts}/old.0`,
    `make-symlink ${checkouts}/old.0`,
    `make-directory ${containers}/old.0/placed`,
    `write-file ${containers}/old.0/placed/DIGEST`,
    `replace-file ${containers}/old.0/info`,
    `make-symlink ${containers}/old`,
    `replace-symlink ${checkouts}/old`,
  ])
})
