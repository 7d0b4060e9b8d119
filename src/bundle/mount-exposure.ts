import { posix } from 'node:path'
import { isBindMount, isReadOnly } from './bind-mount.ts'
import type { Mount } from './runtime-schema.ts'

/** What the host knows of a path. */
export interface HostLookup {
  /** Without symbolic links; the path itself when there is nothing. */
  readonly realPath: (path: string) => string
  /** Where something is mounted writable below a folder. */
  readonly writableMountsBelow: (folder: string) => readonly string[]
}

/**
 * Why a mount may lead a container to the files of the store or of a deployment, in words that follow "the container";
 * undefined when it is known not to.
 *
 * @param places the folders of the store and, last, of the deployments.
 */
export function mountExposure(mount: Mount, places: readonly string[], host: HostLookup): string | undefined {
  if (!isBindMount(mount)) {
    if (mount.type === undefined || safeTypes.has(mount.type)) return undefined
    return `mounts a file system of type ${mount.type} at '${mount.destination}'`
  }
  if (mount.source === undefined) return undefined
  // A source without a leading slash lies in the deployment.
  const source = mount.source.startsWith('/') ? host.realPath(posix.normalize(mount.source)) : (places.at(-1) ?? '/')
  const told = `has '${mount.source}' mounted`
  const writable = writablePlaces(mount, source, host)
  const place = places.find((each) => writable.some((folder) => meet(host.realPath(each), folder)))
  if (place !== undefined) return `${told} writable, where it reaches '${place}'`
  const reached = reachedPower(source)
  if (reached !== undefined) return `${told}, where it reaches '${reached}'`
  const unknown = writable.find((folder) => !isData(folder))
  if (unknown === undefined) return undefined
  return unknown === source ? `${told} writable` : `${told}, and may write to '${unknown}'`
}

/** The place in or above a path that gives power over the host, whether it can be written to or not. */
export function reachedPower(path: string): string | undefined {
  if (harmless.some((each) => isWithin(path, each))) return undefined
  return powers.find((power) => meet(power, path))
}

/** File systems of the kernel's own, and those that hold nothing but what the container writes. */
const safeTypes = new Set(['bind', 'cgroup', 'cgroup2', 'devpts', 'mqueue', 'proc', 'sysfs', 'tmpfs'])

/** The source, and what is mounted below it and comes along: to runtimes, `ro` is for the mount itself alone. */
function writablePlaces(mount: Mount, source: string, host: HostLookup): string[] {
  const { options = [] } = mount
  if (options.includes('rro')) return []
  return [
    ...(isReadOnly(mount) ? [] : [source]),
    ...(options.includes('rbind') ? host.writableMountsBelow(source) : []),
  ]
}

/** The roots of other processes, and services that do anything for root who connects; that a mount is read-only does not matter. */
const powers = [
  '/proc',
  '/run/containerd',
  '/run/buildkit',
  '/run/crio',
  '/run/dbus',
  '/run/docker',
  '/run/docker.sock',
  '/run/k3s',
  '/run/libvirt',
  '/run/podman',
  '/run/snapd.socket',
  '/run/systemd',
]

/** What lies in them and does nothing for who connects but hear, or tell names. */
const harmless = [
  '/run/systemd/journal/dev-log',
  '/run/systemd/journal/socket',
  '/run/systemd/journal/stdout',
  '/run/systemd/notify',
  '/run/systemd/resolve',
]

/** Where programs of the host keep what they work on: no configuration of the host and nothing that it executes. */
export function isData(path: string): boolean {
  return dataFolder.test(path) && !programFolders.some((folder) => meet(path, folder))
}

const dataFolder = /^\/(?:dev|media|mnt|run|srv|tmp|var\/cache|var\/lib|var\/log|var\/tmp)\/[^/]/

/** Below those: what the host loads, executes or believes. */
const programFolders = [
  ...['NetworkManager', 'containers', 'crun', 'forerun', 'modprobe.d', 'modules-load.d', 'netplan', 'runc'].map(
    (name) => `/run/${name}`,
  ),
  ...['sysctl.d', 'sysusers.d', 'tmpfiles.d', 'udev', 'user'].map((name) => `/run/${name}`),
  ...[
    'apt',
    'cloud',
    'confexts',
    'containerd',
    'containers',
    'dkms',
    'docker',
    'dpkg',
    'extensions',
    'incus',
    'kubelet',
    'lxd',
  ].map((name) => `/var/lib/${name}`),
  ...['machines', 'polkit-1', 'portables', 'rpm', 'snapd', 'systemd'].map((name) => `/var/lib/${name}`),
]

/** Whether one lies within the other. */
export function meet(path: string, other: string): boolean {
  return isWithin(path, other) || isWithin(other, path)
}

/** Whether a path is a folder or lies in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`)
}
