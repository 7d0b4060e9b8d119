import { posix } from 'node:path'
import { isBindMount } from './bind-mount.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/**
 * Something in a configuration of which it is not known that it keeps the container from writing to the files of its
 * checkout, read-only root or not. Words that follow "the container". An overlay stands before `root`, and not before
 * `host`, which may lead to the files themselves.
 */
export interface RootExposure {
  readonly way: 'root' | 'host'
  readonly reason: string
}

/** What the host knows of a path. */
export interface HostLookup {
  /** Without symbolic links; the path itself when there is nothing. */
  readonly realPath: (path: string) => string
  /** Whether a file system other than that of `folder` holds `path`, which lies below. */
  readonly isMountedBelow: (folder: string, path: string) => boolean
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
  return [
    ...capabilityExposures(configuration),
    ...namespaceExposures(configuration),
    ...deviceExposures(configuration),
    ...kernelExposures(configuration),
    ...mounts.flatMap((mount) => mountExposure(mount, places, host) ?? []),
  ]
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

function capabilityExposures({ process }: RuntimeConfiguration): RootExposure[] {
  const unsafe = new Set(
    Object.values(process.capabilities ?? {})
      .flat()
      .filter((name) => typeof name === 'string' && !safeCapabilities.has(name)),
  )
  if (unsafe.has('CAP_SYS_ADMIN')) {
    return [{ way: 'root', reason: 'may have CAP_SYS_ADMIN, with which it can mount its root writable' }]
  }
  return unsafe.size === 0 ? [] : [{ way: 'root', reason: `may have ${[...unsafe].join(', ')}` }]
}

/** The processes of the host have roots of their own, in /proc. */
function namespaceExposures({ linux }: RuntimeConfiguration): RootExposure[] {
  const own = (wanted: string): boolean =>
    linux?.namespaces?.some(({ type, path }) => type === wanted && path === undefined) ?? false
  return [
    ...(own('mount') ? [] : [{ way: 'host', reason: 'has no mount namespace of its own' } as const]),
    ...(own('pid') ? [] : [{ way: 'host', reason: 'sees the processes of the host' } as const]),
  ]
}

/** What every container has, and terminals, `tun` and `fuse`: of these none leads to a disk or to the memory of the host. */
const safeDevices = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '10:200', '10:229'])
const pseudoTerminals = 136

/** A rule without numbers is for all devices; without a rule the runtime denies all but those that every container has. */
function deviceExposures({ linux }: RuntimeConfiguration): RootExposure[] {
  const made = (linux?.devices ?? []).filter(({ type }) => type !== 'p')
  const allowed = (linux?.resources?.devices ?? []).filter(({ allow, access = 'rwm' }) => allow && /[rw]/.test(access))
  const unsafe = [...made, ...allowed].find(({ type, major, minor }) => {
    return type !== 'c' || !(major === pseudoTerminals || safeDevices.has(`${major}:${minor}`))
  })
  if (unsafe === undefined) return []
  const { type = 'a', major = '*', minor = '*' } = unsafe
  return [{ way: 'host', reason: `may use the device ${type} ${major}:${minor}` }]
}

/** Files in which root can make the kernel start a program of its own on the host (core(5)), or stop the host. */
function kernelExposures({ linux, mounts = [] }: RuntimeConfiguration): RootExposure[] {
  const hasProc = mounts.some(({ type, options = [] }) => type === 'proc' && !options.includes('ro'))
  const readonly = new Set([...(linux?.readonlyPaths ?? []), ...(linux?.maskedPaths ?? [])])
  const open = ['/proc/sys', '/proc/sysrq-trigger'].filter((path) => hasProc && !readonly.has(path))
  const sys = mounts.find(({ type, options = [] }) => type === 'sysfs' && !options.includes('ro'))
  const writable = [...open, ...(sys === undefined ? [] : [sys.destination])]
  return writable.length === 0 ? [] : [{ way: 'host', reason: `may write to ${writable.join(' and ')}` }]
}

/** File systems of the kernel's own, and those that hold nothing but what the container writes. */
const safeTypes = new Set(['bind', 'cgroup', 'cgroup2', 'devpts', 'mqueue', 'proc', 'sysfs', 'tmpfs'])

function mountExposure(mount: Mount, places: readonly string[], host: HostLookup): RootExposure | undefined {
  if (!isBindMount(mount)) {
    if (mount.type === undefined || safeTypes.has(mount.type)) return undefined
    return { way: 'host', reason: `mounts a file system of type ${mount.type} at '${mount.destination}'` }
  }
  if (mount.source === undefined) return undefined
  // A source without a leading slash lies in the deployment.
  const source = mount.source.startsWith('/') ? host.realPath(posix.normalize(mount.source)) : (places.at(-1) ?? '/')
  const told = `has '${mount.source}' mounted`
  const place = places.find((each) => isWritable(mount, { source, place: host.realPath(each), host }))
  if (place !== undefined) return { way: 'host', reason: `${told} writable, where it reaches '${place}'` }
  const reached = powers.find((each) => isWithin(each, source) || isWithin(source, each))
  if (reached !== undefined) return { way: 'host', reason: `${told}, where it reaches '${reached}'` }
  if (isWritableItself(mount) && !isData(source)) {
    return { way: 'host', reason: `${told} writable` }
  }
  return undefined
}

/** The roots of other processes, and services that do anything for root who connects; that a mount is read-only does not matter. */
const powers = [
  '/proc',
  '/run/containerd',
  '/run/crio',
  '/run/dbus',
  '/run/docker',
  '/run/docker.sock',
  '/run/podman',
  '/run/systemd',
]

/** Where programs of the host keep what they work on: no configuration of the host and nothing that it executes. */
function isData(path: string): boolean {
  return /^\/(?:dev|media|mnt|run|srv|tmp|var\/cache|var\/lib|var\/log|var\/tmp)\/[^/]/.test(path)
}

function isWritable(
  mount: Mount,
  { source, place, host }: { source: string; place: string; host: HostLookup },
): boolean {
  if (!isWithin(place, source) && !isWithin(source, place)) return false
  if (isWritableItself(mount)) return true
  // `ro` holds for the mount itself, and not for those below it.
  const options = mount.options ?? []
  const isRecursive = options.includes('rbind') && !options.includes('rro')
  return isRecursive && isWithin(place, source) && host.isMountedBelow(source, place)
}

function isWritableItself({ options = [] }: Mount): boolean {
  return !options.includes('rro') && options.findLast((option) => option === 'ro' || option === 'rw') !== 'ro'
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`)
}
