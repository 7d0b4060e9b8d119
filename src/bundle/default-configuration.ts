import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { ImageConfiguration } from '../image/configuration.ts'
import { byteString } from '../tree/entry.ts'
import { defaultCapabilities, defaultMaskedPaths, defaultMounts, defaultReadonlyPaths } from './default-isolation.ts'
import type { ImageFiles } from './image-files.ts'
import { lookUpUser } from './image-user.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/** A directory of the host that a volume of the image is bound to, with the metadata that it has in the image. */
export interface VolumeDirectory {
  /** Absolute. */
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface DefaultConfiguration {
  readonly configuration: RuntimeConfiguration
  /** Parents first; the first is the parent of all volumes. Empty for an image without volumes. */
  readonly volumes: readonly VolumeDirectory[]
}

/**
 * The configuration of an image that carries none, by the OCI image specification's "Conversion to OCI Runtime
 * Configuration", isolated as container engines do by default, but in the host's network and with its host name, and on
 * a read-only root. Volumes live in `places.state`/NAME on the host.
 *
 * @param places.hostKind what lies at a path of the host, where `/etc/resolv.conf` and `/etc/hosts` come from.
 * @throws ForerunError `configuration` when the image has no command or its user is unknown.
 */
export function defaultConfiguration(
  image: ImageConfiguration,
  files: ImageFiles,
  places: { name: string; state: string; hostKind: (path: string) => 'directory' | 'file' | undefined },
): DefaultConfiguration {
  const { config } = image
  const args = [...config.entrypoint, ...config.cmd]
  if (args.length === 0) {
    throw new ForerunError('configuration', 'The image says no command: it has neither entrypoint nor cmd', {
      hint: 'Build the image with an entrypoint, or with /exports/config.json.template.',
    })
  }
  const volumes = volumeMounts(config.volumes, places)
  const imageHasDirectory = (path: string) => files.stat(byteString(path))?.kind === 'directory'
  const configuration: RuntimeConfiguration = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: imageUser(config.user, files),
      args,
      env: environment(config.env),
      cwd: posix.resolve('/', config.workingDir),
      capabilities: {
        bounding: [...defaultCapabilities],
        effective: [...defaultCapabilities],
        permitted: [...defaultCapabilities],
      },
      noNewPrivileges: false,
    },
    root: { path: 'rootfs', readonly: true },
    mounts: withVolumes([...defaultMounts(imageHasDirectory), ...nameResolution(places.hostKind)], volumes),
    annotations: annotations(image),
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'mount' }, { type: 'cgroup' }],
      // All denied: the runtime adds the devices that every container has.
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: [...defaultMaskedPaths],
      readonlyPaths: [...defaultReadonlyPaths],
    },
  }
  return { configuration, volumes: volumeDirectories(volumes, files, places) }
}

function imageUser(user: string, files: ImageFiles): { uid: number; gid: number; additionalGids?: number[] } {
  const text = (path: string) => files.read(byteString(path))?.toString('utf8')
  const { additionalGids, ...ids } = lookUpUser(user, { passwd: text('/etc/passwd'), group: text('/etc/group') })
  return additionalGids.length === 0 ? ids : { ...ids, additionalGids }
}

/** Entries without a name or `=` are left out: runtimes refuse them. */
function environment(image: readonly string[]): string[] {
  const entries = image.filter((entry) => entry.indexOf('=') > 0)
  if (entries.some((entry) => entry.startsWith('PATH='))) return entries
  return ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...entries]
}

/** Bind mounts in the order of their places, so that a volume in another comes after it. */
function volumeMounts(volumes: readonly string[], { name, state }: { name: string; state: string }): Mount[] {
  const destinations = new Set(volumes.map((volume) => posix.resolve('/', volume)))
  destinations.delete('/')
  return [...destinations].sort().map((destination) => ({
    destination,
    type: 'bind',
    source: posix.join(state, name, destination),
    options: ['rbind', 'rw'],
  }))
}

/** Absent files are left out, since a runtime refuses to start with an absent source. */
function nameResolution(hostKind: (path: string) => 'directory' | 'file' | undefined): Mount[] {
  return ['/etc/resolv.conf', '/etc/hosts']
    .filter((path) => hostKind(path) === 'file')
    .map((path) => ({
      destination: path,
      type: 'bind',
      source: path,
      options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec'],
    }))
}

/** A volume takes the place of a default mount at the same path. */
function withVolumes(mounts: readonly Mount[], volumes: readonly Mount[]): Mount[] {
  const taken = new Set(volumes.map(({ destination }) => destination))
  return [...mounts.filter(({ destination }) => !taken.has(destination)), ...volumes]
}

/** "Annotation Fields": what the image says beside its process; its labels win over these. */
function annotations({ config, ...image }: ImageConfiguration): Record<string, string> {
  const implicit: [string, string | undefined][] = [
    ['os', image.os],
    ['architecture', image.architecture],
    ['variant', image.variant],
    ['author', image.author],
    ['created', image.created],
    ['stopSignal', config.stopSignal],
    ['exposedPorts', [...config.exposedPorts].sort().join(',')],
  ]
  return {
    ...Object.fromEntries(
      implicit.filter(([, value]) => value).map(([key, value]) => [`org.opencontainers.image.${key}`, value ?? '']),
    ),
    ...config.labels,
  }
}

function volumeDirectories(
  volumes: readonly Mount[],
  files: ImageFiles,
  { name, state }: { name: string; state: string },
): VolumeDirectory[] {
  if (volumes.length === 0) return []
  const directories = volumes.map(({ destination, source = '' }) => {
    const found = files.stat(byteString(destination))
    if (found?.kind !== 'directory') return { path: source, mode: 0o755, uid: 0, gid: 0 }
    return { path: source, mode: found.mode, uid: found.uid, gid: found.gid }
  })
  return [{ path: posix.join(state, name), mode: 0o755, uid: 0, gid: 0 }, ...directories]
}
