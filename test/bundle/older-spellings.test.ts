import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modernSpelling } from '../../src/bundle/older-spellings.ts'

test('a platform object and everything null are gone', () => {
  const old = {
    ociVersion: '1.0.0-rc1',
    platform: { os: 'linux', arch: 'amd64' },
    hooks: null,
    mounts: [{ destination: '/proc', options: null }],
    linux: { devices: null, cgroupsPath: null, resources: { pids: null, devices: [{ allow: false, major: null }] } },
  }
  const before = structuredClone(old)
  assert.deepEqual(modernSpelling(old), {
    ociVersion: '1.0.0-rc1',
    mounts: [{ destination: '/proc' }],
    linux: { resources: { devices: [{ allow: false }] } },
  })
  assert.deepEqual(old, before)
})

test('a configuration without a version, or with an empty one, is of version 1.0.0', () => {
  for (const old of [{}, { ociVersion: '' }, { ociVersion: null }]) {
    assert.deepEqual(modernSpelling({ ...old, hostname: 'a' }), { ociVersion: '1.0.0', hostname: 'a' })
  }
})

test('one list of capabilities means all five sets', () => {
  const list = ['CAP_NET_ADMIN']
  const sets = { bounding: list, effective: list, inheritable: list, permitted: list, ambient: list }
  assert.deepEqual(modern({ process: { capabilities: list } }), { process: { capabilities: sets } })
  assert.deepEqual(modern({ process: {}, linux: { capabilities: list } }), {
    process: { capabilities: sets },
    linux: {},
  })
})

test('what moved from linux to process is found there, unless process has its own', () => {
  const rlimits = [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }]
  assert.deepEqual(
    modern({
      process: { selinuxLabel: 'own' },
      linux: {
        rlimits,
        apparmorProfile: 'p',
        selinuxProcessLabel: 'old',
        resources: { oomScoreAdj: 5, disableOOMKiller: true, memory: { limit: 1 }, blockIO: { blkioWeight: 10 } },
      },
    }),
    {
      process: { rlimits, apparmorProfile: 'p', selinuxLabel: 'own', oomScoreAdj: 5 },
      linux: { resources: { memory: { disableOOMKiller: true, limit: 1 }, blockIO: { weight: 10 } } },
    },
  )
})

test('a seccomp rule of one call, and a filter that filters nothing', () => {
  const rule = { name: 'mount', action: 'SCMP_ACT_ERRNO' }
  assert.deepEqual(modern({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] } } }), {
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mount'], action: 'SCMP_ACT_ERRNO' }] } },
  })
  assert.deepEqual(modern({ linux: { seccomp: { defaultAction: '', architectures: null, syscalls: null } } }), {
    linux: {},
  })
})

test('a relative destination is below the root', () => {
  assert.deepEqual(modern({ mounts: [{ destination: 'proc' }, { destination: '' }, 5] }), {
    mounts: [{ destination: '/proc' }, { destination: '' }, 5],
  })
})

test('what is no configuration comes back as it is', () => {
  for (const value of [null, 5, 'x', ['y'], { ociVersion: '1.0.2', process: 5, linux: [], mounts: 'z' }]) {
    assert.deepEqual(modernSpelling(value), value)
  }
})

/** Without the version, which is there always. */
function modern(configuration: object): unknown {
  const { ociVersion: _, ...rest } = modernSpelling(configuration) as Record<string, unknown>
  return rest
}
