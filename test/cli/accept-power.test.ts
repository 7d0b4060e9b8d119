import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToldPrivilege } from '../../src/bundle/privilege.ts'
import { powerText } from '../../src/cli/accept-power.ts'
import type { HostFileView } from '../../src/operations/containers/host-files.ts'

const power = ['is run by cron']
const file: HostFileView = { path: '/etc/cron.d/x', kind: 'file', mode: 0o644, uid: 0, gid: 0, power }
const line: HostFileView = { path: '/etc/cron.d/y', kind: 'line', uid: 0, gid: 0, power }

function told(kind: ToldPrivilege['kind'], text: string): ToldPrivilege {
  return { kind, key: text, text, weight: 'power' }
}

test('files alone are told as files', () => {
  assert.equal(
    powerText([file, line], {}),
    `This image gets power over the host by these files:
! -rw-r--r-- root:root /etc/cron.d/x: is run by cron
! tmpfiles.d root:root /etc/cron.d/y: is run by cron
`,
  )
})

test('privileges come before files, under a heading of the caller; a line of tmpfiles.d is told once', () => {
  const privileges = [told('capability', 'capability SYS_ADMIN: all'), told('tmpfiles', 'makes /etc/cron.d/y')]
  assert.equal(
    powerText([file, line], { privileges, heading: 'It gets more:' }),
    `It gets more:
! capability SYS_ADMIN: all
! makes /etc/cron.d/y
! -rw-r--r-- root:root /etc/cron.d/x: is run by cron
`,
  )
  assert.match(powerText([], { privileges }), /^This image gets power over the host by this:\n! /)
})
