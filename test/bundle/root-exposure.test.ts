import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  defaultCapabilities,
  defaultMaskedPaths,
  defaultMounts,
  defaultReadonlyPaths,
} from '../../src/bundle/default-isolation.ts'
import type { HostLookup } from '../../src/bundle/mount-exposure.ts'
import { rootExposures } from '../../src/bundle/root-exposure.ts'
import type { Mount, RuntimeConfiguration } from '../../src/bundle/runtime-schema.ts'

const places = ['/var/lib/forerun/store', '/var/lib/forerun/containers']
const host: HostLookup = {
  realPath: (path) => path.replace(/^\/link(?=\/|$)/, '/var/lib'),
  writableMountsBelow: (folder) => (folder === '/sys' ? ['/sys/fs/cgroup'] : []),
}
const separate: HostLookup = { ...host, writableMountsBelow: () => ['/var/lib/forerun'] }

function configuration(more: Partial<RuntimeConfiguration> = {}): RuntimeConfiguration {
  return {
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['x'] },
    root: { path: 'rootfs', readonly: true },
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
    ...more,
  }
}

function told(more: Partial<RuntimeConfiguration>): string[] {
  return rootExposures(configuration(more), places, host).map(({ way, reason }) => `${way}: ${reason}`)
}

function ofMount(mount: Omit<Mount, 'destination'>, lookup = host): string[] {
  return rootExposures(configuration({ mounts: [{ destination: '/x', ...mount }] }), places, lookup).map(
    ({ way, reason }) => `${way}: ${reason}`,
  )
}

function withCapabilities(...names: string[]): Partial<RuntimeConfiguration> {
  return { process: { cwd: '/', args: ['x'], capabilities: { bounding: names } } }
}

const closed = { namespaces: [{ type: 'mount' as const }, { type: 'pid' as const }] }

test('an ordinary configuration lets nothing be written, and shares files', () => {
  assert.deepEqual(told({}), [])
  assert.deepEqual(told(withCapabilities('CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_LINUX_IMMUTABLE')), [])
  assert.deepEqual(told(withCapabilities(...defaultCapabilities)), [])
  const linux = {
    ...closed,
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    maskedPaths: [...defaultMaskedPaths],
    readonlyPaths: [...defaultReadonlyPaths],
  }
  assert.deepEqual(told({ linux, mounts: defaultMounts(() => true) }), [])
})

test('CAP_SYS_ADMIN in whatever set leads past a read-only root', () => {
  for (const set of ['bounding', 'effective', 'inheritable', 'permitted', 'ambient']) {
    const capabilities = { [set]: ['CAP_SYS_ADMIN'] }
    assert.deepEqual(told({ process: { cwd: '/', args: ['x'], capabilities } }), [
      'root: may have CAP_SYS_ADMIN, with which it can mount its root writable',
    ])
  }
})

test('a capability of which it is not known that it is harmless keeps files apart', () => {
  for (const name of ['SYS_MODULE', 'SYS_RAWIO', 'SYS_BOOT', 'BPF', 'PERFMON', 'MAC_ADMIN', 'NEW']) {
    assert.deepEqual(told(withCapabilities('CAP_CHOWN', `CAP_${name}`)), [`host: may have CAP_${name}`])
  }
})

test('CAP_DAC_READ_SEARCH opens whatever lies on a file system that is bound, and an overlay is none of the host', () => {
  const reach = (mounts: Mount[], ...more: string[]) =>
    told({ ...withCapabilities('CAP_DAC_READ_SEARCH', ...more), mounts })
  const bound = (...options: string[]) => [
    { destination: '/data', source: '/var/lib/etcd', options: ['bind', ...options] },
  ]
  assert.deepEqual(reach([]), ['root: may have CAP_DAC_READ_SEARCH'])
  assert.deepEqual(reach(bound('ro')), ['root: may have CAP_DAC_READ_SEARCH'])
  assert.deepEqual(reach(bound()), ['host: may have CAP_DAC_READ_SEARCH'])
  const [mounting, reading] = reach(bound('ro'), 'CAP_SYS_ADMIN')
  assert.match(mounting ?? '', /^root: may have CAP_SYS_ADMIN/)
  assert.equal(reading, 'host: may have CAP_DAC_READ_SEARCH')
})

test('what leads to the host is told beside CAP_SYS_ADMIN, too', () => {
  assert.deepEqual(told(withCapabilities('CAP_SYS_ADMIN', 'CAP_SYS_MODULE', 'CAP_BPF')), [
    'root: may have CAP_SYS_ADMIN, with which it can mount its root writable',
    'host: may have CAP_SYS_MODULE, CAP_BPF',
  ])
})

test('the mount or process namespace of the host, or of another process, leads to the files', () => {
  for (const type of ['mount', 'pid'] as const) {
    const others = closed.namespaces.filter((namespace) => namespace.type !== type)
    for (const namespaces of [others, [...others, { type, path: `/proc/1/ns/${type}` }]]) {
      const [exposure, ...more] = told({ linux: { namespaces } })
      assert.match(exposure ?? '', /^host: (?:has no mount namespace|sees the processes)/)
      assert.deepEqual(more, [])
    }
  }
  assert.equal(told({ linux: {} }).length, 2)
})

test('disks and unknown devices, and a rule for all of them, lead to the files; what every container has does not', () => {
  const rule = (more: object) => told({ linux: { ...closed, resources: { devices: [{ allow: true, ...more }] } } })
  for (const more of [{}, { type: 'b' as const }, { type: 'a' as const, access: 'rwm' }, { type: 'c' as const }])
    assert.equal(rule(more).length, 1, JSON.stringify(more))
  assert.deepEqual(rule({ type: 'c', major: 21, minor: 0 }), ['host: may use the device c 21:0'])
  assert.deepEqual(rule({ type: 'c', major: 10, minor: 200, access: 'rw' }), [])
  assert.deepEqual(rule({ type: 'c', major: 136 }), [])
  assert.deepEqual(rule({ type: 'b', access: 'm' }), [], 'to make a node is not to open it')
  const device = (more: { type: 'b' | 'c' | 'p'; major?: number; minor?: number }) =>
    told({ linux: { ...closed, devices: [{ path: '/dev/x', ...more }] } })
  assert.deepEqual(device({ type: 'b', major: 8, minor: 0 }), ['host: may use the device b 8:0'])
  assert.deepEqual(device({ type: 'c', major: 1, minor: 3 }), [])
  assert.deepEqual(device({ type: 'p' }), [])
})

test('settings of the kernel that are writable make it start programs on the host', () => {
  const proc = { destination: '/proc', type: 'proc' }
  const readonlyPaths = ['/proc/sys', '/proc/sysrq-trigger', '/proc/bus']
  assert.deepEqual(told({ mounts: [proc] }), ['host: may write to /proc/sys and /proc/sysrq-trigger and /proc/bus'])
  assert.deepEqual(told({ mounts: [proc], linux: { ...closed, readonlyPaths } }), [])
  assert.deepEqual(told({ mounts: [{ ...proc, options: ['ro'] }] }), [])
  const elsewhere = { ...proc, destination: '/host/proc/' }
  assert.deepEqual(told({ mounts: [elsewhere], linux: { ...closed, readonlyPaths } }), [
    'host: may write to /host/proc/sys and /host/proc/sysrq-trigger and /host/proc/bus',
  ])
  const sys = { destination: '/sys', type: 'sysfs' }
  assert.deepEqual(told({ mounts: [sys] }), ['host: may write to /sys'])
  assert.deepEqual(told({ mounts: [{ ...sys, options: ['nosuid', 'ro'] }] }), [])
})

test('control groups of the host, in which no device is denied, are not to be written to', () => {
  for (const type of ['cgroup', 'cgroup2']) {
    const mount = { destination: '/sys/fs/cgroup', type }
    assert.deepEqual(told({ mounts: [mount] }), ['host: may write to /sys/fs/cgroup'])
    assert.deepEqual(told({ mounts: [{ ...mount, options: ['ro'] }] }), [])
    const namespaces = [...closed.namespaces, { type: 'cgroup' as const }]
    assert.deepEqual(told({ mounts: [mount], linux: { namespaces } }), [])
  }
  const bound = { type: 'bind', source: '/sys', options: ['rbind', 'ro'] }
  assert.deepEqual(ofMount(bound), ["host: has '/sys' mounted, and may write to '/sys/fs/cgroup'"])
  assert.deepEqual(ofMount({ ...bound, options: ['rbind', 'rro'] }), [])
  assert.deepEqual(ofMount({ ...bound, options: ['bind', 'ro'] }), [])
})

test('what the runtime or another program does on the host for the container leads to the files', () => {
  const hook = [{ path: '/bin/sh' }]
  for (const name of ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'])
    assert.deepEqual(told({ hooks: { [name]: hook } }), ["host: has '/bin/sh' run on the host"])
  assert.deepEqual(told({ hooks: { startContainer: hook, poststop: [] } }), [])

  const sysctl = (name: string) => told({ linux: { ...closed, sysctl: { [name]: '1' } } })
  assert.deepEqual(sysctl('kernel.core_pattern'), ['host: sets kernel.core_pattern'])
  for (const name of ['net.ipv4.ip_forward', 'kernel.shmmax', 'kernel.sem']) assert.deepEqual(sysctl(name), [])

  const seccomp = { defaultAction: 'SCMP_ACT_ALLOW' as const }
  assert.deepEqual(told({ linux: { ...closed, seccomp } }), [])
  assert.deepEqual(told({ linux: { ...closed, seccomp: { ...seccomp, listenerPath: '/run/agent' } } }), [
    "host: has system calls answered at '/run/agent'",
  ])
})

test('a file system that the runtime mounts from a device leads to the files', () => {
  assert.deepEqual(ofMount({ type: 'ext4', source: '/dev/vda' }), ["host: mounts a file system of type ext4 at '/x'"])
  for (const type of ['tmpfs', 'mqueue', 'devpts']) assert.deepEqual(ofMount({ type, source: '/' }), [])
})

test('writable mounts of folders that hold the store or deployments, or lie in them, lead to the files', () => {
  for (const source of [
    '/',
    '/var',
    '/var/lib/forerun/containers/x.0/rootfs',
    '/link/forerun',
    'rootfs/etc',
    '/var/lib/..//lib',
  ]) {
    assert.equal(ofMount({ type: 'bind', source }).length, 1, source)
    assert.equal(ofMount({ source, options: ['rbind', 'ro', 'rw'] }).length, 1, source)
    if (source !== '/') assert.deepEqual(ofMount({ type: 'bind', source, options: ['ro'] }), [], source)
  }
  for (const source of ['/var/lib/forerun2', '/srv/data', '/var/lib/etcd', '/run/flannel'])
    assert.deepEqual(ofMount({ type: 'bind', source }), [])
  assert.deepEqual(ofMount({ type: 'bind', source: '/var' }), [
    "host: has '/var' mounted writable, where it reaches '/var/lib/forerun/store'",
  ])
})

test('what the host configures or executes, mounted writable, leads to the files', () => {
  for (const source of [
    ...['/etc', '/etc/cni/net.d', '/usr/lib', '/root', '/home/alice', '/boot', '/srv'],
    ...['/run/udev/rules.d', '/run/runc', '/var/lib/dpkg', '/var/lib/containers/storage', '/var/lib/systemd'],
  ]) {
    assert.deepEqual(ofMount({ type: 'bind', source }), [`host: has '${source}' mounted writable`])
    assert.deepEqual(ofMount({ type: 'bind', source, options: ['rbind', 'ro'] }), [])
  }
})

test('sockets of services that obey root, and the processes of the host, lead to the files by a read-only mount, too', () => {
  for (const [source, reached] of [
    ['/run', '/run/containerd'],
    ['/run/docker.sock', '/run/docker.sock'],
    ['/run/dbus/system_bus_socket', '/run/dbus'],
    ['/proc', '/proc'],
    ['/', '/proc'],
  ] as const) {
    const [told] = ofMount({ type: 'bind', source, options: ['rbind', 'ro'] })
    assert.equal(told, `host: has '${source}' mounted, where it reaches '${reached}'`)
  }
})

test('sockets that only hear, and the names that systemd-resolved keeps, are shared safely', () => {
  for (const source of ['/run/systemd/notify', '/run/systemd/journal/dev-log', '/run/systemd/resolve/stub-resolv.conf'])
    assert.deepEqual(ofMount({ type: 'bind', source, options: ['bind', 'ro'] }), [], source)
  assert.equal(ofMount({ type: 'bind', source: '/run/systemd/private', options: ['ro'] }).length, 1)
})

test('a mount that is read-only without what is mounted below it', () => {
  const source = '/var'
  assert.deepEqual(ofMount({ source, options: ['rbind', 'ro'] }), [])
  assert.equal(ofMount({ source, options: ['rbind', 'ro'] }, separate).length, 1)
  assert.deepEqual(ofMount({ source, options: ['rbind', 'rro'] }, separate), [])
  assert.deepEqual(ofMount({ source, options: ['bind', 'ro'] }, separate), [])
})
