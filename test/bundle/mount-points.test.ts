import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountPoints, sourceKind } from '../../src/bundle/mount-points.ts'
import type { Mount } from '../../src/bundle/runtime-schema.ts'
import { imageFiles } from './image-in-memory.ts'

function points(mounts: Mount[], cwd = '/'): string[] {
  const configuration = {
    ociVersion: '1.0.2',
    process: { cwd, args: ['x'] },
    root: { path: 'rootfs', readonly: true },
    mounts,
  }
  const kind = (path: string) =>
    ['/etc/hosts', 'rootfs/etc/motd'].includes(path) ? 'file' : path === '/srv' ? 'directory' : undefined
  return mountPoints(configuration, kind).map((point) => `${point.kind} ${point.path}`)
}

test('a bind mount of a file needs a file, all others a directory', () => {
  assert.deepEqual(
    points([
      { destination: '/proc', type: 'proc' },
      { destination: '/etc/hosts', type: 'bind', source: '/etc/hosts' },
      { destination: '/srv/', type: 'bind', source: '/srv' },
      { destination: '/etc/issue', type: 'bind', source: 'rootfs/etc/motd' },
      { destination: '/absent', type: 'bind', source: '/absent' },
      { destination: '/tmp', type: 'tmpfs' },
    ]),
    ['directory /proc', 'file /etc/hosts', 'directory /srv', 'file /etc/issue', 'directory /absent', 'directory /tmp'],
  )
})

test('a source that is relative lies in the deployment', () => {
  const files = imageFiles({ '/etc/motd': 'text', '/srv/': { mode: 0o755, uid: 0, gid: 0 } })
  const kinds = ['rootfs/etc/motd', './rootfs/srv', 'rootfs/absent', 'info', '.', '/host'].map((source) =>
    sourceKind(source, files, (path) => (path === '/host' ? 'file' : undefined)),
  )
  assert.deepEqual(kinds, ['file', 'directory', undefined, 'file', 'directory', 'file'])
})

test('what lies in another mount is not in the root file system', () => {
  assert.deepEqual(
    points(
      [
        { destination: '/dev', type: 'tmpfs' },
        { destination: '/dev/pts', type: 'devpts' },
        { destination: '/developers', type: 'tmpfs' },
        { destination: '/dev', type: 'tmpfs' },
      ],
      '/dev/shm/work',
    ),
    ['directory /dev', 'directory /developers'],
  )
})

test('the working directory is made too, since runtimes make it', () => {
  assert.deepEqual(points([], '/work/../srv/app/'), ['directory /srv/app'])
  assert.deepEqual(points([{ destination: '/', type: 'tmpfs' }], '/'), [])
})

test('names that are not ASCII are bytes', () => {
  assert.deepEqual(points([{ destination: '/ü', type: 'tmpfs' }]), ['directory /\u00c3\u00bc'])
})
