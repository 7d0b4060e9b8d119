import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultCapabilities } from '../../src/bundle/default-isolation.ts'
import { defaultSeccomp } from '../../src/bundle/default-seccomp.ts'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'
import type { Seccomp } from '../../src/bundle/runtime-schema.ts'

/** What becomes of a call whose arguments no rule looks at. */
function outcome(profile: Seccomp, call: string): string {
  const rule = profile.syscalls?.find(({ names, args }) => names.includes(call) && args === undefined)
  if (rule === undefined) return `${profile.defaultErrnoRet}`
  return rule.action === 'SCMP_ACT_ALLOW' ? 'allowed' : `${rule.errnoRet}`
}

function profileFor(...capabilities: string[]): Seccomp {
  const profile = defaultSeccomp('amd64', [...defaultCapabilities, ...capabilities])
  assert.ok(profile !== undefined)
  return profile
}

test('ordinary calls are allowed, privileged ones fail as without the capability, and unknown ones are not there', () => {
  const profile = profileFor()
  for (const call of [
    'read',
    'openat2',
    'futex_waitv',
    'chroot',
    'ptrace',
    'clock_gettime64',
    'arch_prctl',
    'landlock_add_rule',
  ])
    assert.equal(outcome(profile, call), 'allowed', call)
  for (const call of ['mount', 'bpf', 'unshare', 'setns', 'init_module', 'keyctl', 'userfaultfd', 'reboot', 'iopl'])
    assert.equal(outcome(profile, call), '1', call)
  for (const call of ['clone3', 'io_uring_setup', 'a_call_of_tomorrow'])
    assert.equal(outcome(profile, call), '38', call)
})

test('a capability lets its calls through', () => {
  for (const capability of ['CAP_SYS_ADMIN', 'CAP_BPF']) {
    const profile = profileFor(capability)
    assert.equal(outcome(profile, 'bpf'), 'allowed')
    const rules = profile.syscalls?.filter(({ names }) => names.includes('bpf'))
    assert.equal(rules?.length, 1, 'a runtime refuses rules that contradict each other')
  }
  assert.equal(outcome(profileFor('CAP_SYS_ADMIN'), 'mount'), 'allowed')
  assert.equal(outcome(profileFor('CAP_SYS_ADMIN'), 'clone3'), 'allowed')
  assert.equal(outcome(profileFor('CAP_SYS_TIME'), 'clock_settime'), 'allowed')
  assert.equal(outcome(profileFor('CAP_SYS_TIME'), 'mount'), '1')
})

test('clone makes no namespaces, and a socket is not one of the virtual machine', () => {
  const { syscalls = [] } = profileFor()
  const argsOf = (call: string) => syscalls.filter(({ names }) => names.includes(call)).map(({ args }) => args)
  const [allowed, ...refused] = syscalls.filter(({ names }) => names.includes('clone'))
  assert.deepEqual(allowed, {
    names: ['clone'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
  })
  for (const { action, errnoRet, args } of refused) {
    const [{ value = 0, valueTwo } = {}] = args ?? []
    assert.deepEqual([action, errnoRet, valueTwo], ['SCMP_ACT_ERRNO', 1, value])
  }
  assert.equal(
    refused.reduce((flags, { args }) => flags | Number(args?.[0]?.value), 0),
    0x7e020000,
  )
  assert.deepEqual(
    syscalls
      .filter(({ names }) => names.includes('socket'))
      .map(({ action, errnoRet, args }) => [action, errnoRet, args]),
    [
      ['SCMP_ACT_ALLOW', undefined, [{ index: 0, value: 40, op: 'SCMP_CMP_NE' }]],
      ['SCMP_ACT_ERRNO', 97, [{ index: 0, value: 40, op: 'SCMP_CMP_EQ' }]],
    ],
  )
  assert.equal(argsOf('personality').length, 5)
})

test('no call is named by two rules that contradict each other', () => {
  const { syscalls = [] } = profileFor()
  const whole = syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names)
  assert.equal(new Set(whole).size, whole.length)
})

test('it is for all kinds of programs that a processor runs, and a configuration with it is valid', () => {
  assert.deepEqual(profileFor().architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'])
  const seccomp = defaultSeccomp('arm64', defaultCapabilities)
  assert.deepEqual(seccomp?.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'])
  assert.equal(defaultSeccomp('s390x', defaultCapabilities), undefined)
  const configuration = { process: { cwd: '/', args: ['x'] }, root: { path: 'rootfs' }, linux: { seccomp } }
  assert.deepEqual(parseRuntimeConfiguration(configuration, 'config.json').linux?.seccomp, seccomp)
})
