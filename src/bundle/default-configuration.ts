import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { ImageConfiguration } from '../image/configuration.ts'
import { type ByteString, byteString, displayPath } from '../tree/entry.ts'
import { defaultCapabilities, defaultMaskedPaths, defaultMounts, defaultReadonlyPaths } from './default-isolation.ts'
import type { ImageFiles } from './image-files.ts'
import { lookUpUser } from './image-user.ts'
import type { Mount, RuntimeConfiguration, Seccomp } from './runtime-schema.ts'
import { imagePath, imageVolumes, type Volume, volumeMount } from './volumes.ts'

export interface DefaultConfiguration {
  readonly configuration: RuntimeConfiguration
  readonly volumes: readonly Volume[]
  /** What the user should know, one sentence each. */
  readonly notices: readonly string[]
}

/**
 * The configuration of an image that carries none, by the OCI image specification's "Conversion to OCI Runtime
 * Configuration", isolated as container engines do by default, but in the host's network and with its host name.
 *
 * @param options.volumes the folder of the host where volumes lie.
 * @param options.readOnly whether its root is to be read-only.
 * @param options.seccomp which system calls it may make; undefined: all.
 * @param options.privilegedFiles programs of the image that give privileges to whoever starts them.
 * @param options.hostKind what lies at a path of the host, where `/etc/resolv.conf` and `/etc/hosts` come from.
 * @throws ForerunError `configuration` when the image has no command, its user is unknown, or a volume cannot be had.
 */
export function defaultConfiguration(
  image: ImageConfiguration,
  files: ImageFiles,
  options: {
    volumes: string
    readOnly: boolean
    seccomp: Seccomp | undefined
    privilegedFiles: readonly ByteString[]
    hostKind: (path: string) => 'directory' | 'file' | undefined
  },
): DefaultConfiguration {
  const { config } = image
  const args = [...config.entrypoint, ...config.cmd]
  if (args.length === 0) {
    throw new ForerunError('configuration', 'The image says no command: it has neither entrypoint nor cmd', {
      hint: 'Build the image with an entrypoint, or with /exports/config.json.template.',
    })
  }
  const { volumes, notices } = imageVolumes(config.volumes, files, options.volumes)
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
      noNewPrivileges: options.privilegedFiles.length === 0,
    },
    root: { path: 'rootfs', readonly: options.readOnly },
    mounts: withVolumes([...defaultMounts(imageHasDirectory), ...nameResolution(options.hostKind)], volumes, files),
    annotations: annotations(image),
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'mount' }, { type: 'cgroup' }],
      // All denied: the runtime adds the devices that every container has.
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: [...defaultMaskedPaths],
      readonlyPaths: [...defaultReadonlyPaths],
      ...(options.seccomp && { seccomp: options.seccomp }),
    },
  }
  return { configuration, volumes, notices: [...notices, ...tellPrivileged(options.privilegedFiles)] }
}

function tellPrivileged(files: readonly ByteString[]): string[] {
  if (files.length === 0) return []
  const shown = files.slice(0, 3).map(displayPath).join(', ')
  const more = files.length > 3 ? ` and ${files.length - 3} more` : ''
  return [
    `Processes may gain privileges (noNewPrivileges is off), since the image has programs for that: ${shown}${more}`,
  ]
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

/**
 * A volume takes the place of a default mount at the same path. Mounts are made in their order, so each comes after those
 * above it, which would hide it.
 */
function withVolumes(mounts: readonly Mount[], volumes: readonly Volume[], files: ImageFiles): Mount[] {
  const place = ({ destination }: Mount): string => imagePath(files, destination) ?? destination
  const taken = new Set(volumes.map(({ destination }) => destination))
  const depth = (mount: Mount): number => place(mount).split('/').length
  return [...mounts.filter((mount) => !taken.has(place(mount))), ...volumes.map(volumeMount)].sort(
    (a, b) => depth(a) - depth(b),
  )
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
