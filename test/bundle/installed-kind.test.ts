import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostFile } from '../../src/bundle/host-files.ts'
import { installedKind } from '../../src/bundle/installed-kind.ts'
import { byteString } from '../../src/tree/entry.ts'

const owner = { uid: 0, gid: 0 }
const hostFiles: readonly HostFile[] = [
  { kind: 'directory', path: byteString('/etc/folder'), mode: 0o755, ...owner },
  { kind: 'file', path: byteString('/etc/sysconfig/flannel'), source: byteString('/x'), mode: 0o644, ...owner },
  { kind: 'symlink', path: byteString('/etc/link-to-folder'), target: byteString('/srv'), ...owner },
  { kind: 'symlink', path: byteString('/etc/link'), target: byteString('/not/there'), ...owner },
  { kind: 'file', path: byteString('/present'), source: byteString('/x'), mode: 0o644, ...owner },
]
const tmpfiles = [
  'd /run/flannel 0755 - - -',
  'f /run/flannel.env 0644 - - - x',
  'L /run/link - - - - /etc/hosts',
  'C /etc/copied - - - - /usr/share/tree',
  'r /run/removed',
].join('\n')

const kind = installedKind((path) => (['/srv', '/present'].includes(path) ? 'directory' : undefined), {
  hostFiles,
  tmpfiles,
})

test('what the installation brings has the kind that it brings', () => {
  const expected = {
    '/etc/folder': 'directory',
    '/etc/sysconfig/flannel': 'file',
    '/etc/sysconfig': 'directory',
    '/etc/link-to-folder': 'directory',
    '/etc/link': 'file',
    '/run/flannel': 'directory',
    '/run/flannel.env': 'file',
    '/var/run/flannel.env': 'file',
    '/run/link': 'file',
    '/etc/copied': 'directory',
    '/run/removed': undefined,
    '/etc/flan': undefined,
  }
  for (const [path, found] of Object.entries(expected)) assert.equal(kind(path), found, path)
})

test('what is there already stays what it is', () => {
  assert.equal(kind('/present'), 'directory')
})
