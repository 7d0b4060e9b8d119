import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToldPrivilege } from '../../src/bundle/privilege.ts'
import { acceptUpdate, powerLines } from '../../src/cli/accept-power.ts'
import type { HostFileView } from '../../src/operations/containers/host-files.ts'
import type { Context } from '../../src/operations/context.ts'

const power = ['is run by cron']
const file: HostFileView = { path: '/etc/cron.d/x', kind: 'file', mode: 0o644, uid: 0, gid: 0, power }
const line: HostFileView = { path: '/etc/cron.d/y', kind: 'line', uid: 0, gid: 0, power }

function told(kind: ToldPrivilege['kind'], key: string): ToldPrivilege {
  return { kind, key, text: `${kind} ${key}`, weight: 'power' }
}

const privileges = [told('capability', 'CAP_SYS_ADMIN'), told('mount', '/dev rw')]

test('files alone are told as files', () => {
  assert.deepEqual(powerLines({ privileges: [], files: [file, line] }), [
    '! -rw-r--r-- root:root /etc/cron.d/x: is run by cron',
    '! tmpfiles.d root:root /etc/cron.d/y: is run by cron',
  ])
})

test('privileges come before files; a line of tmpfiles.d is told once', () => {
  assert.deepEqual(powerLines({ privileges: [told('tmpfiles', '/etc/cron.d/y')], files: [file, line] }), [
    '! tmpfiles /etc/cron.d/y',
    '! -rw-r--r-- root:root /etc/cron.d/x: is run by cron',
  ])
})

function update(options: { acceptPrivileges?: boolean; acceptPrivilege?: string[]; setting?: 'ask' | 'yes' | 'no' }) {
  const { setting = 'ask', ...accepting } = options
  const session = { interrupt: new AbortController().signal, json: false, debug: false, quiet: false, assumeYes: false }
  const context = { signal: session.interrupt, settings: { install: { acceptPrivileges: setting } } } as Context
  const asking = { ...accepting, session: { ...session, lockTimeout: undefined }, context }
  return acceptUpdate({ name: 'app', privileges, files: [file] }, asking)
}

test('an update without a terminal stops with the list of what nobody accepted', async () => {
  for (const setting of ['ask', 'no'] as const) {
    await assert.rejects(update({ setting }), {
      code: 'privileges',
      message: 'the update of app takes privileges that it did not have',
      details: [
        '! capability CAP_SYS_ADMIN',
        '! mount /dev rw',
        '! -rw-r--r-- root:root /etc/cron.d/x: is run by cron',
      ],
    })
  }
  await assert.rejects(update({ acceptPrivilege: ['CAP_SYS_ADMIN', '/etc/cron.d/x'] }), {
    details: ['! mount /dev rw'],
  })
})

test('an update is accepted whole, by kind or by name', async () => {
  await update({ acceptPrivileges: true })
  await update({ setting: 'yes' })
  await update({ acceptPrivilege: ['capability', '/dev', 'host-file'] })
})
