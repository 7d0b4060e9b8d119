import assert from 'node:assert/strict'
import { test } from 'node:test'
import { absentSources } from '../../src/bundle/absent-sources.ts'
import type { HostFile } from '../../src/bundle/host-files.ts'
import { installedKind } from '../../src/bundle/installed-kind.ts'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'
import { byteString } from '../../src/tree/entry.ts'

function absent(sources: readonly string[]): string[] {
  const mounts = sources.map((source) => ({ destination: '/there', type: 'bind', source }))
  const root = { path: 'rootfs' }
  const configuration = parseRuntimeConfiguration({ process: { cwd: '/', args: ['x'] }, root, mounts }, 'config.json')
  const hostFile: HostFile = {
    kind: 'file',
    path: byteString('/etc/brought/file'),
    source: byteString('/exports/hostfs/etc/brought/file'),
    mode: 0o644,
    uid: 0,
    gid: 0,
  }
  const kind = installedKind((path) => (path === '/present' ? 'file' : undefined), {
    tmpfiles: 'd /run/made/below 0755 - - -\nf /etc/line 0644 - - - text\n',
    hostFiles: [hostFile],
  })
  return absentSources(configuration, {
    unit: '[Service]\nRuntimeDirectory=own other:link\nStateDirectory=a/b\n',
    kind,
  })
}

test('sources that nothing makes are told, each once', () => {
  assert.deepEqual(absent(['/gone', '/gone/', '/etc/brought/other', '/run/made/below/it']), [
    '/gone',
    '/etc/brought/other',
    '/run/made/below/it',
  ])
})

test('what is there, or is brought, or is made by a line or by systemd, is not told', () => {
  const made = ['/present', '/etc/brought/file', '/etc/brought', '/etc/line', '/run/made', '/var/run/made/below']
  assert.deepEqual(absent([...made, '/run/own', '/run/other', '/var/lib/a/b', '/var/lib/a', 'relative']), [])
})
