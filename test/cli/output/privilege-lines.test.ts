import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToldPrivilege } from '../../../src/bundle/privilege.ts'
import { differenceLines, privilegeLines } from '../../../src/cli/output/privilege-lines.ts'

function told(kind: ToldPrivilege['kind'], key: string, text: string, isPower = false): ToldPrivilege {
  return { kind, key, text, weight: isPower ? 'power' : 'ordinary' }
}

test('power over the host comes first, a line each; ordinary privileges that are alike share one', () => {
  const lines = privilegeLines([
    told('capability', 'CAP_CHOWN', 'capability CHOWN: changes owners of files'),
    told('capability', 'CAP_KILL', 'capability KILL: signals processes of any user'),
    told('capability', 'CAP_SYS_ADMIN', 'capability SYS_ADMIN: administers', true),
    told('capability', 'CAP_BPF namespaced', 'capability BPF: loads programs, in its own user namespace'),
    told('capability', 'CAP_SYS_ADMIN namespaced', 'capability SYS_ADMIN: administers, in its own user namespace'),
    told('namespace', 'network host', 'network of the host'),
    told('namespace', 'uts host', 'host name of the host'),
    told('namespace', 'ipc path /x', 'shared memory and semaphores of /x'),
    told('security-module', 'apparmor none', 'no profile of AppArmor confines it'),
    told('security-module', 'selinux none', 'no domain of SELinux confines it'),
    told('kernel-path', 'unmasked /proc/a', 'sees /proc/a, which usually is hidden'),
    told('kernel-path', 'unmasked /proc/b', 'sees /proc/b, which usually is hidden'),
    told('dependency', 'Before a.service', 'starts before a.service (Before=)'),
    told('dependency', 'Before b.service', 'starts before b.service (Before=)'),
  ])
  assert.deepEqual(lines, [
    '! capability SYS_ADMIN: administers',
    '  capabilities CHOWN, KILL',
    '  capabilities in its own user namespace BPF, SYS_ADMIN',
    "  has the host's network, host name",
    '  shared memory and semaphores of /x',
    '  neither AppArmor nor SELinux confines it',
    '  sees /proc/a, /proc/b, which usually are hidden',
    '  starts before a.service, b.service (Before=)',
  ])
})

test('what an image wrote steers no terminal and hides nothing', () => {
  const text = 'runs sh -c token=$(evil)\n\x1b[2K\u202e on the host'
  assert.deepEqual(privilegeLines([told('hook', 'x', text, true)]), [
    '! runs sh -c token=$(evil) \\x1b[2K\\x202e on the host',
  ])
})

test('an update tells what is more and what is less', () => {
  const [a, b] = [told('hook', 'a', 'runs a', true), told('user', 'uid 0', 'runs as root')]
  assert.deepEqual(differenceLines({ more: [a], less: [b] }), [
    'It may do what the deployment before could not:',
    '! runs a',
    'It may no longer do:',
    '  runs as root',
  ])
  assert.deepEqual(differenceLines({ more: [], less: [] }), [])
})
