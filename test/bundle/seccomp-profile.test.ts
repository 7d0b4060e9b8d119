import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSeccompProfile } from '../../src/bundle/seccomp-profile.ts'

const target = { architecture: 'amd64', capabilities: ['CAP_SYS_CHROOT'], kernel: '6.1.0-18-amd64' }
const file = '/usr/share/containers/seccomp.json'

/** In the form of container engines; made up. */
const profile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  defaultErrno: 'ENOSYS',
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: null },
  ],
  syscalls: [
    { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: [], comment: '', includes: {}, excludes: {} },
    { name: 'old', action: 'SCMP_ACT_ALLOW', args: null },
    { names: ['chroot'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_CHROOT'] } },
    { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, errno: 'EPERM', excludes: { caps: ['CAP_SYS_ADMIN'] } },
    { names: ['cacheflush'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm', 'arm64'] } },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64', 'x32'] } },
    {
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 1, value: 1, valueTwo: 0, op: 'SCMP_CMP_EQ' }],
      includes: { arches: ['s390x'] },
    },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
    { names: ['new'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '6.2' } },
  ],
}

test('rules that hold for this host stay, in the words of the runtime', () => {
  const { syscalls, ...rest } = parseSeccompProfile(JSON.stringify(profile), file, target)
  assert.deepEqual(rest, {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  })
  assert.deepEqual(syscalls, [
    { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: [] },
    { names: ['old'], action: 'SCMP_ACT_ALLOW' },
    { names: ['chroot'], action: 'SCMP_ACT_ALLOW' },
    { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW' },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW' },
  ])
})

test('a conditional rule that names an error has its number, and one without calls is none', () => {
  const rules = [
    { names: ['mount'], action: 'SCMP_ACT_ERRNO', errno: 'EINVAL', errnoRet: 1 },
    { names: ['umount'], action: 'SCMP_ACT_ERRNO', errno: '22' },
    { names: [], action: 'SCMP_ACT_ALLOW' },
  ]
  const text = JSON.stringify({
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrno: 'ENOSYS',
    defaultErrnoRet: 1,
    syscalls: rules,
  })
  const { defaultErrnoRet, syscalls } = parseSeccompProfile(text, file, target)
  assert.equal(defaultErrnoRet, 38)
  assert.deepEqual(
    syscalls?.map(({ errnoRet }) => errnoRet),
    [22, 22],
  )
})

test('what a runtime would refuse at the start is refused before', () => {
  for (const rule of [
    { names: ['read'], action: 'SCMP_ACT_PERMIT' },
    { names: ['read'], action: 'SCMP_ACT_ERRNO', errno: 'ESTRANGE' },
    { names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 1, op: 'SCMP_CMP_LIKE' }] },
  ]) {
    const text = JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: [rule] })
    assert.throws(() => parseSeccompProfile(text, file, target), { code: 'settings', message: /seccomp\.json/ })
  }
})

test('what is no profile is refused with the file and the place', () => {
  for (const text of ['{', '[]', '{"defaultAction":"SCMP_ACT_ALLOW"}', '{"defaultAction":1,"syscalls":[]}']) {
    assert.throws(() => parseSeccompProfile(text, file, target), { code: 'settings', message: /seccomp\.json/ })
  }
})
