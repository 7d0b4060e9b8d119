import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostPaths } from '../../src/host/paths.ts'
import { placedFiles } from '../../src/operations/placed-files.ts'
import { deploymentInfo } from '../store/deployment-info.ts'

const paths = hostPaths({ store: '/var/lib/forerun/store', containers: '/var/lib/forerun/containers' })

/** As versions wrote it that kept no list of what they placed. */
const older = deploymentInfo({
  'installed-files': ['/srv/etcd/conf'],
  'installed-files-checksum': { '/srv/etcd/conf': 'abc' },
  forerun: {
    directories: ['/srv/etcd'],
    overlay: { 'mount-unit': 'rootfs.mount', kind: 'writable', 'keep-changes': false },
  },
})

test('what an older version placed is found where it put everything', () => {
  assert.deepEqual(
    placedFiles({ name: 'etcd', info: older }, paths).map(({ role, kind, path }) => `${role} ${kind} ${path}`),
    [
      'host directory /srv/etcd',
      'host file /srv/etcd/conf',
      'drop-in directory /etc/systemd/system/etcd.service.d',
      'drop-in file /etc/systemd/system/etcd.service.d/10-forerun.conf',
      'tmpfiles file /etc/tmpfiles.d/etcd.conf',
      'unit file /etc/systemd/system/etcd.service',
      'mount file /etc/systemd/system/rootfs.mount',
    ],
  )
  const files = placedFiles({ name: 'x', info: { ...older, 'has-container-service': false } }, paths)
  assert.deepEqual(
    files.map(({ path }) => path),
    ['/srv/etcd', '/srv/etcd/conf'],
  )
  const [, conf] = files
  assert.ok(conf?.kind === 'file' && conf.digest === 'abc')
})

test('the list that a deployment keeps is what counts', () => {
  const file = { role: 'host', path: '/srv/x', kind: 'symlink', target: 'y', uid: 1, gid: 2 } as const
  const info = { ...older, forerun: { ...older.forerun, files: [file] } }
  assert.deepEqual(placedFiles({ name: 'etcd', info }, paths), [file])
})
