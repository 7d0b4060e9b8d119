import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostFileLine } from '../../../src/cli/output/host-file-line.ts'

const file = { path: '/etc/x', kind: 'file', uid: 0, gid: 0, power: [] } as const

test('kind, mode and owner are shown as ls does', () => {
  const modes = [0o644, 0o4755, 0o2644, 0o1777, 0o6001, 0]
  assert.deepEqual(
    modes.map((mode) => hostFileLine({ ...file, mode }).split(' ')[2]),
    ['-rw-r--r--', '-rwsr-xr-x', '-rw-r-Sr--', '-rwxrwxrwt', '---S--S--x', '----------'],
  )
  const link = { ...file, kind: 'symlink', uid: 5, target: '/srv/\x1b[1mx' } as const
  assert.equal(hostFileLine(link), '  lrwxrwxrwx 5:root /etc/x -> /srv/x')
})

test('power over the host stands out, with its reasons, and no name makes a line of its own', () => {
  const planted = { ...file, path: '/etc/cron.d/a\n  -rw-r--r-- root:root /etc/b', mode: 0o644, power: ['one', 'two'] }
  assert.equal(hostFileLine(planted), '! -rw-r--r-- root:root /etc/cron.d/a -rw-r--r-- root:root /etc/b: one; two')
  assert.equal(hostFileLine({ ...file, kind: 'line', power: ['one'] }), '! tmpfiles.d root:root /etc/x: one')
})
