import { isBindMount, isReadOnly } from './bind-mount.ts'
import { type HostLookup, mountExposure } from './mount-exposure.ts'
import { capabilitiesOf, hasOwnNamespace } from './runtime-configuration.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'

/**
 * Something in a configuration of which it is not known that it keeps the container from writing to the files of its
 * checkout, read-only root or not. Words that follow "the container". An overlay stands before `root`, and not before
 * `host`, which may lead to the files themselves.
 */
export interface RootExposure {
  readonly way: 'root' | 'host'
  readonly reason: string
}

/**
 * Everything that is not known to be safe: then the checkout gets files of its own. Every write through a read-only mount is
 * refused by the kernel before it asks for owners and capabilities; what counts is what leads past that mount, or makes the
 * host act. Which set a capability is in does not matter, since it can be had. In user namespaces that the process makes
 * itself, the kernel locks read-only mounts.
 *
 * @param places the folders of the store and, last, of the deployments.
 */
export function rootExposures(
  configuration: RuntimeConfiguration,
  places: readonly string[],
  host: HostLookup,
): RootExposure[] {
  const mounts = configuration.mounts ?? []
  const reasons = [
    ...namespaceReasons(configuration),
    ...deviceReasons(configuration),
    ...kernelReasons(configuration),
    ...runtimeReasons(configuration),
    ...mounts.flatMap((mount) => mountExposure(mount, places, host) ?? []),
  ]
  return [...capabilityExposures(configuration), ...reasons.map((reason): RootExposure => ({ way: 'host', reason }))]
}

/**
 * Left out are those with which the root can be mounted anew or any inode be opened (SYS_ADMIN, DAC_READ_SEARCH), and those that
 * reach into the kernel or replace it (SYS_MODULE, SYS_RAWIO, SYS_BOOT, BPF, PERFMON, MAC_ADMIN, MAC_OVERRIDE,
 * CHECKPOINT_RESTORE), as is what a later kernel brings.
 */
const safeCapabilities = new Set(
  [
    ...['AUDIT_CONTROL', 'AUDIT_READ', 'AUDIT_WRITE', 'BLOCK_SUSPEND', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID'],
    ...['IPC_LOCK', 'IPC_OWNER', 'KILL', 'LEASE', 'LINUX_IMMUTABLE', 'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE'],
    ...['NET_BROADCAST', 'NET_RAW', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT', 'SYS_NICE', 'SYS_PACCT'],
    ...['SYS_PTRACE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'SYSLOG', 'WAKE_ALARM'],
  ].map((name) => `CAP_${name}`),
)

/**
 * Two of the unsafe ones stay within what is mounted for the container: with SYS_ADMIN its root can be mounted anew, and with
 * DAC_READ_SEARCH every file be opened of a file system of which a part is mounted (open_by_handle_at(2)), as that part is.
 */
function capabilityExposures(configuration: RuntimeConfiguration): RootExposure[] {
  const { mounts = [] } = configuration
  const unsafe = [...capabilitiesOf(configuration)].filter((name) => !safeCapabilities.has(name))
  const mountsAnew = unsafe.includes('CAP_SYS_ADMIN')
  const writesBelow = mounts.some((mount) => isBindMount(mount) && (mountsAnew || !isReadOnly(mount)))
  const staysWithin = (name: string): boolean =>
    name === 'CAP_SYS_ADMIN' || (name === 'CAP_DAC_READ_SEARCH' && !writesBelow)
  const within = unsafe.filter(staysWithin)
  const beyond = unsafe.filter((name) => !staysWithin(name))
  const means = mountsAnew ? ', with which it can mount its root writable' : ''
  return [
    ...(within.length === 0 ? [] : [{ way: 'root', reason: `may have ${within.join(', ')}${means}` } as const]),
    ...(beyond.length === 0 ? [] : [{ way: 'host', reason: `may have ${beyond.join(', ')}` } as const]),
  ]
}

/** The processes of the host have roots of their own, in /proc. */
function namespaceReasons(configuration: RuntimeConfiguration): string[] {
  return [
    ...(hasOwnNamespace(configuration, 'mount') ? [] : ['has no mount namespace of its own']),
    ...(hasOwnNamespace(configuration, 'pid') ? [] : ['sees the processes of the host']),
  ]
}

/** What every container has, and terminals, `tun` and `fuse`: of these none leads to a disk or to the memory of the host. */
const safeDevices = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '10:200', '10:229'])
const pseudoTerminals = 136

/** A rule without numbers is for all devices; without a rule the runtime denies all but those that every container has. */
function deviceReasons({ linux }: RuntimeConfiguration): string[] {
  const made = (linux?.devices ?? []).filter(({ type }) => type !== 'p')
  const allowed = (linux?.resources?.devices ?? []).filter(({ allow, access = 'rwm' }) => allow && /[rw]/.test(access))
  const unsafe = [...made, ...allowed].find(({ type, major, minor }) => {
    return type !== 'c' || !(major === pseudoTerminals || safeDevices.has(`${major}:${minor}`))
  })
  if (unsafe === undefined) return []
  const { type = 'a', major = '*', minor = '*' } = unsafe
  return [`may use the device ${type} ${major}:${minor}`]
}

/**
 * Files in which root can make the kernel start a program of its own on the host (core(5)), stop the host, or set up its
 * buses; and groups of the host's own, in which no rule keeps a process from devices.
 */
function kernelReasons(configuration: RuntimeConfiguration): string[] {
  const { linux, mounts = [] } = configuration
  const writable = mounts.filter((mount) => !isReadOnly(mount))
  const closed = new Set([...(linux?.readonlyPaths ?? []), ...(linux?.maskedPaths ?? [])])
  const open = writable
    .filter(({ type }) => type === 'proc')
    .flatMap(({ destination }) =>
      ['sys', 'sysrq-trigger', 'bus'].map((name) => `${destination.replace(/\/+$/, '')}/${name}`),
    )
    .filter((path) => !closed.has(path))
  const whole = writable.filter(
    ({ type }) => type === 'sysfs' || (/^cgroup2?$/.test(type ?? '') && !hasOwnNamespace(configuration, 'cgroup')),
  )
  const places = [...open, ...whole.map(({ destination }) => destination)]
  return places.length === 0 ? [] : [`may write to ${places.join(' and ')}`]
}

/** What the runtime, or a program that it asks, does on the host for the container. */
function runtimeReasons({ hooks = {}, linux }: RuntimeConfiguration): string[] {
  // startContainer alone runs in the container, with what the container has.
  const { startContainer: _, ...onHost } = hooks
  const hook = Object.values(onHost)
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .at(0)
  const sysctl = Object.keys(linux?.sysctl ?? {}).find((name) => !namespacedSetting.test(name))
  const listener = linux?.seccomp?.listenerPath
  return [
    ...(hook === undefined ? [] : [`has '${hook.path}' run on the host`]),
    ...(sysctl === undefined ? [] : [`sets ${sysctl}`]),
    ...(listener ? [`has system calls answered at '${listener}'`] : []),
  ]
}

/** Those that a namespace keeps, or that have nothing to do with files. */
const namespacedSetting = /^(?:net\.|fs\.mqueue\.|kernel\.(?:domainname|hostname|msg|sem$|shm))/
