import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  parseRuntimeConfiguration,
  placeInUnitCgroup,
  withoutTerminal,
} from '../../src/bundle/runtime-configuration.ts'

const file = '/exports/config.json'
const small = {
  ociVersion: '1.0.2',
  process: { cwd: '/', args: ['/bin/etcd'] },
  root: { path: 'rootfs', readonly: true },
}

/** The small configuration with one more or other member, at a path such as `linux.namespaces`. */
function changed(path: string, value: unknown): unknown {
  const configuration = structuredClone(small) as Record<string, unknown>
  const keys = path.split('.')
  let place = configuration
  for (const key of keys.slice(0, -1)) {
    place[key] ??= {}
    place = place[key] as Record<string, unknown>
  }
  const last = keys.at(-1) ?? ''
  if (value === undefined) delete place[last]
  else place[last] = value
  return configuration
}

const seccomp = { defaultAction: 'SCMP_ACT_ERRNO' }

for (const [path, value, fault] of [
  ['ociVersion', '2.0.0', 'ociVersion is "2.0.0", wanted a version up to 1.x, such as "1.0.2"'],
  ['ociVersion', '1.0', 'ociVersion is "1.0", wanted a version up to 1.x, such as "1.0.2"'],
  ['process', undefined, 'process is missing'],
  ['process', 'sh', 'process is "sh", wanted an object'],
  ['process.args', [], 'process.args is a list, wanted a list with the program to run'],
  ['process.args', 'sh -c true', 'process.args is "sh -c true", wanted a list'],
  ['process.args', ['sh', 1], 'process.args[1] is 1, wanted a string'],
  ['process.cwd', 'srv', 'process.cwd is "srv", wanted an absolute path'],
  ['process.terminal', 'false', 'process.terminal is "false", wanted true or false'],
  ['process.user', 'etcd', 'process.user is "etcd", wanted an object'],
  ['process.user.uid', -1, 'process.user.uid is -1, wanted a whole number from 0 to 4294967295'],
  [
    'process.user.additionalGids',
    [1.5],
    'process.user.additionalGids[0] is 1.5, wanted a whole number from 0 to 4294967295',
  ],
  ['process.env', { A: 'b' }, 'process.env is an object, wanted a list'],
  [
    'process.rlimits',
    [{ type: 'NOFILE', soft: 1, hard: 1 }],
    'process.rlimits[0].type is "NOFILE", wanted a name such as RLIMIT_NOFILE',
  ],
  ['process.rlimits', [{ type: 'RLIMIT_NOFILE', soft: 1 }], 'process.rlimits[0].hard is missing'],
  [
    'process.capabilities',
    { bounding: ['NET_ADMIN'] },
    'process.capabilities.bounding[0] is "NET_ADMIN", wanted a name such as CAP_NET_ADMIN',
  ],
  ['process.oomScoreAdj', 1001, 'process.oomScoreAdj is 1001, wanted a whole number from -1000 to 1000'],
  ['root', undefined, 'root is missing'],
  ['root.path', undefined, 'root.path is missing'],
  ['root.path', '/srv/rootfs', 'root.path is "/srv/rootfs", wanted "rootfs"'],
  ['hostname', 5, 'hostname is 5, wanted a string'],
  ['mounts', [{ type: 'proc' }], 'mounts[0].destination is missing'],
  ['mounts', [{ destination: '/a' }, { destination: '/b', options: 'ro' }], 'mounts[1].options is "ro", wanted a list'],
  ['hooks', { prestart: [{ path: 'hook' }] }, 'hooks.prestart[0].path is "hook", wanted an absolute path'],
  [
    'hooks',
    { poststop: [{ path: '/h', timeout: 0 }] },
    'hooks.poststop[0].timeout is 0, wanted a whole number from 1 to 2147483647',
  ],
  ['annotations', { 'a.b/c': 1 }, 'annotations["a.b/c"] is 1, wanted a string'],
  ['linux', [], 'linux is a list, wanted an object'],
  [
    'linux.namespaces',
    [{ type: 'pid' }, { type: 'mount' }, { type: 'net' }],
    'linux.namespaces[2].type is "net", wanted "pid" or "network" or "mount" or "ipc" or "uts" or "user" or "cgroup" or "time"',
  ],
  ['linux.namespaces', [{ type: 'pid' }, { type: 'pid' }], 'linux.namespaces is a list, wanted each type at most once'],
  [
    'linux.devices',
    [{ type: 'c', path: '/dev/x' }],
    'linux.devices[0] is an object, wanted major and minor unless its type is "p"',
  ],
  ['linux.uidMappings', [{ containerID: 0, hostID: 0 }], 'linux.uidMappings[0].size is missing'],
  [
    'linux.resources',
    { memory: { limit: '1G' } },
    'linux.resources.memory.limit is "1G", wanted a whole number from -9223372036854775808 to 9223372036854775807',
  ],
  ['linux.resources', { devices: [{ access: 'rwm' }] }, 'linux.resources.devices[0].allow is missing'],
  [
    'linux.resources',
    { cpu: { shares: 18446744073709551616n } },
    'linux.resources.cpu.shares is 18446744073709551616, wanted a whole number from 0 to 18446744073709551615',
  ],
  [
    'linux.seccomp',
    { ...seccomp, syscalls: [{ names: [], action: 'SCMP_ACT_ALLOW' }] },
    'linux.seccomp.syscalls[0].names is a list, wanted a list with at least one call',
  ],
  [
    'linux.seccomp',
    { ...seccomp, architectures: ['X86'] },
    'linux.seccomp.architectures[0] is "X86", wanted a name such as SCMP_ARCH_X86_64',
  ],
  ['linux.maskedPaths', ['proc'], 'linux.maskedPaths[0] is "proc", wanted an absolute path'],
  ['linux.rootfsPropagation', 'public', /^linux\.rootfsPropagation is "public", wanted /],
  ['linux.sysctl', { 'net.core.somaxconn': 1 }, 'linux.sysctl["net.core.somaxconn"] is 1, wanted a string'],
] as const) {
  test(`a configuration whose ${path} is ${JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}` : v))} is refused`, () => {
    assert.throws(
      () => parseRuntimeConfiguration(changed(path, value), file),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'configuration')
        const [intro, message = ''] = error.message.split(' has a fault: ')
        assert.equal(intro, "The configuration '/exports/config.json'")
        if (typeof fault === 'string') assert.equal(message, fault)
        else assert.match(message, fault)
        return true
      },
    )
  })
}

test('what is no object at all is refused', () => {
  for (const json of [[], 'x', 5, null, true]) {
    assert.throws(() => parseRuntimeConfiguration(json, file), { code: 'configuration' })
  }
})

test('every part of the specification is let through unchanged, unknown properties too', () => {
  const full = {
    ...small,
    process: {
      ...small.process,
      terminal: false,
      user: { uid: 1, gid: 2, umask: 18, additionalGids: [3] },
      env: ['A=b'],
      rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 18446744073709551615n }],
      capabilities: { bounding: ['CAP_KILL'], ambient: [] },
      noNewPrivileges: true,
      oomScoreAdj: -999,
      scheduler: { policy: 'SCHED_FIFO', priority: 5 },
      ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 4 },
      selinuxLabel: 'system_u:system_r:container_t:s0',
      apparmorProfile: 'p',
    },
    hostname: 'h',
    domainname: 'd',
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc', options: ['ro'] }, { destination: '/x' }],
    hooks: { createRuntime: [{ path: '/bin/h', args: ['h'], env: [], timeout: 5 }] },
    annotations: { 'org.example/x': 'y' },
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'network', path: '/run/netns/a' }, { type: 'time' }],
      uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }],
      devices: [
        { type: 'c', path: '/dev/fuse', major: 10, minor: 229, fileMode: 438, uid: 0, gid: 0 },
        { type: 'p', path: '/dev/pipe' },
      ],
      resources: {
        devices: [{ allow: true, type: 'c', major: 1, minor: -1, access: 'rm' }],
        memory: { limit: -1, swappiness: 0, disableOOMKiller: true },
        cpu: { shares: 1024, quota: -1, period: 100000, cpus: '0-1' },
        pids: { limit: 100 },
        blockIO: { weight: 10, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 600 }] },
        hugepageLimits: [{ pageSize: '2MB', limit: 9223372036854775808n }],
        network: { classID: 1, priorities: [{ name: 'eth0', priority: 1 }] },
        rdma: { mlx5_1: { hcaHandles: 3 } },
        unified: { 'memory.high': '1' },
      },
      timeOffsets: { boottime: { secs: 1, nanosecs: 2 } },
      rootfsPropagation: 'slave',
      sysctl: { 'net.ipv4.ip_forward': '1' },
      maskedPaths: ['/proc/kcore'],
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [
          {
            names: ['getcwd'],
            action: 'SCMP_ACT_ERRNO',
            errnoRet: 1,
            args: [{ index: 0, value: 2080505856, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
          },
        ],
      },
      intelRdt: { closID: 'x' },
      personality: { domain: 'LINUX' },
      someday: { nested: [1] },
    },
    someday: true,
  }
  assert.deepEqual(parseRuntimeConfiguration(full, file), full)
})

test('a root spelled with a dot or a slash is the same', () => {
  for (const path of ['rootfs', './rootfs', 'rootfs/']) {
    assert.equal(parseRuntimeConfiguration(changed('root.path', path), file).root.path, 'rootfs')
  }
})

test('the container is put below its unit, whatever group the configuration asks for', () => {
  for (const cgroupsPath of [undefined, '/elsewhere', 'relative']) {
    const configuration = parseRuntimeConfiguration(changed('linux.cgroupsPath', cgroupsPath), file)
    const placed = placeInUnitCgroup(configuration, '/net.slice/net-core.slice/etcd.service')
    assert.equal(placed.linux?.cgroupsPath, '/net.slice/net-core.slice/etcd.service/payload')
  }
})

test('a terminal is turned off with its size', () => {
  const configuration = parseRuntimeConfiguration(
    changed('process', { ...small.process, terminal: true, consoleSize: { height: 25, width: 80 } }),
    file,
  )
  assert.deepEqual(withoutTerminal(configuration).process, { ...small.process, terminal: false })
})
