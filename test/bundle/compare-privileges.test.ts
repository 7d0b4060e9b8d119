import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { comparePrivileges } from '../../src/bundle/compare-privileges.ts'
import type { Privilege } from '../../src/bundle/privilege.ts'
import type { Seccomp } from '../../src/bundle/runtime-schema.ts'
import { seccompPrivileges } from '../../src/bundle/seccomp-privileges.ts'

/** Of `KIND KEY`. */
function privilege(words: string): Privilege {
  const [kind = '', ...key] = words.split(' ')
  return { kind: kind as Privilege['kind'], key: key.join(' '), text: words, weight: 'ordinary' }
}

function more(before: string[], after: string[]): string[] {
  return comparePrivileges(before.map(privilege), after.map(privilege)).more.map(({ text }) => text)
}

/** The first of each covers the second, which does not cover the first. */
const coverings: [wider: string, narrower: string][] = [
  ['capability CAP_SYS_ADMIN', 'capability CAP_SYS_ADMIN namespaced'],
  ['mount bind rw all /srv', 'mount bind ro all /srv'],
  ['mount bind ro all /srv', 'mount bind ro alone /srv/a'],
  ['mount bind rw all /', 'mount bind rw all /run/docker.sock'],
  ['mount bind rw all /', 'mount bind rw alone /'],
  ['mount bind ro all /', 'mount bind ro readable /'],
  ['mount bind ro readable /', 'mount bind ro alone /run'],
  ['mount bind rw alone /', 'mount bind rw all /etc/app'],
  ['mount cgroup host', 'mount cgroup own'],
  ['mount type rw ext4 /dev/sda1', 'mount type ro ext4 /dev/sda1'],
  ['device a *:* rw', 'device c 10:229 rw'],
  ['device a *:* rw', 'device unruled'],
  ['device b *:* rw', 'device b 8:* r'],
  ['device b 8:* rw', 'device b 8:1 w'],
  ['device c 1:1 rw', 'device c 1:1 r'],
  ['user uid 0', 'user uid 999'],
  ['user uid 0', 'user gid 27'],
  ['user uids 0 999', 'user uids 100 199'],
  ['namespace user host', 'user uids 0 999'],
  ['rlimit RLIMIT_NOFILE 2000000', 'rlimit RLIMIT_NOFILE 1000000'],
  ['scheduling oom-score -999', 'scheduling oom-score -5'],
  ['security-module apparmor none', 'security-module apparmor profile app'],
  ['host-command ExecStop root /bin/a b', 'host-command ExecStop ann /bin/a b'],
]

describe('what covers what', () => {
  for (const [wider, narrower] of coverings) {
    test(`${wider} covers ${narrower}`, () => {
      assert.deepEqual(more([wider], [narrower]), [])
      assert.deepEqual(more([narrower], [wider]), [wider])
      assert.deepEqual(more([wider], [wider]), [])
    })
  }

  const strangers: [string, string][] = [
    ['capability CAP_CHOWN', 'capability CAP_KILL'],
    ['mount bind rw all /srv', 'mount bind rw all /srvx'],
    ['mount bind rw alone /', 'mount bind rw alone /run/docker.sock'],
    ['mount bind rw all /srv', 'mount type rw ext4 /srv'],
    ['device c 1:1 rw', 'device b 1:1 rw'],
    ['device b *:* r', 'device b 8:1 w'],
    ['user uid 5', 'user uid 50'],
    ['user gid 0', 'user uid 5'],
    ['user uids 0 999', 'user gids 0 999'],
    ['namespace pid host', 'namespace pid path /x'],
    ['security-module apparmor none', 'security-module selinux domain x'],
    ['sysctl net.x 1', 'sysctl net.x 2'],
    ['host-command ExecStop root /bin/a', 'host-command ExecStart root /bin/a'],
    ['host-command ExecStop root /bin/a', 'host-command ExecStop root /bin/a b'],
  ]
  for (const [one, other] of strangers) {
    test(`${one} does not cover ${other}`, () => {
      assert.deepEqual(more([one], [other]), [other])
    })
  }

  test('thousands of groups, units and mounts are compared in no time', () => {
    const many = (words: string) => Array.from({ length: 20_000 }, (_, index) => `${words}${index}`)
    for (const words of ['user gid ', 'dependency Before u', 'mount bind rw all /srv/']) {
      assert.equal(more(many(words), many(`${words}1`)).length, 10_000)
    }
  })

  test('what shrinks is told', () => {
    const [admin, kill] = [privilege('capability CAP_SYS_ADMIN'), privilege('capability CAP_KILL')]
    assert.deepEqual(comparePrivileges([admin, kill], [kill]), { more: [], less: [admin] })
  })
})

describe('filters of system calls', () => {
  type Rules = [names: string[], action?: string, args?: object[]][]
  const filter = (rules: Rules, others = 'ERRNO', rest: object = {}): Privilege[] => {
    const syscalls = rules.map(([names, action = 'ALLOW', args]) => ({
      names,
      action: `SCMP_ACT_${action}`,
      ...(args && { args }),
    }))
    return seccompPrivileges({ defaultAction: `SCMP_ACT_${others}`, syscalls, ...rest } as Seccomp)
  }
  const both = (before: Privilege[], after: Privilege[]) => {
    const { more: gained, less } = comparePrivileges(before, after)
    return [gained, less].map((list) => list.map(({ text }) => text).join())
  }
  const none = seccompPrivileges(undefined)
  const isZero = [{ index: 0, value: 0, op: 'SCMP_CMP_EQ' }]

  test('none covers any', () => {
    assert.deepEqual(both(none, filter([[['read']]])), ['', 'any system call: there is no filter'])
    assert.deepEqual(both(filter([[['read']]]), none), ['any system call: there is no filter', ''])
    assert.deepEqual(both(none, none), ['', ''])
  })

  test('are compared by the calls that they allow', () => {
    assert.deepEqual(both(filter([[['read', 'bpf']]]), filter([[['mount']], [['read']]])), [
      'system calls: mount',
      'system calls: bpf',
    ])
    assert.deepEqual(both(filter([[['a']], [['b'], 'LOG']]), filter([[['b', 'a'], 'NOTIFY']])), ['', ''])
  })

  test('a call with certain arguments is less than the call', () => {
    const [some, all] = [filter([[['clone'], 'ALLOW', isZero]]), filter([[['clone']]])]
    assert.deepEqual(both(all, some), ['', 'system calls: clone'])
    assert.deepEqual(both(some, some), ['', ''])
    assert.deepEqual(both(filter([]), some), ['system calls: clone(0 EQ 0)', ''])
  })

  test('that name what is refused', () => {
    const [listed, open] = [filter([[['read']]]), filter([[['mount'], 'ERRNO']], 'ALLOW')]
    assert.deepEqual(both(listed, open), ['system calls: all calls that no rule refuses', ''])
    assert.deepEqual(both(open, filter([[['mount']]])), [
      'system calls: mount',
      'system calls: all calls that no rule refuses',
    ])
    assert.deepEqual(both(open, filter([], 'ALLOW')), ['system calls: mount', ''])
    assert.deepEqual(both(filter([[['a'], 'ERRNO', isZero]], 'ALLOW'), filter([[['a'], 'ERRNO']], 'ALLOW')), [
      '',
      'system calls: a',
    ])
  })

  test('for programs of other architectures', () => {
    const native = filter([[['read']]], 'ERRNO', { architectures: ['SCMP_ARCH_X86_64'] })
    const with32 = filter([[['read']]], 'ERRNO', { architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'] })
    assert.deepEqual(both(filter([[['read']]]), native), ['', ''])
    assert.deepEqual(both(native, with32), ['system calls: programs of X86', ''])
  })
})
