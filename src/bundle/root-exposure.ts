import { posix } from 'node:path'
import { isBindMount } from './bind-mount.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/**
 * A way in which a configuration lets its container write to the files of its checkout, read-only root or not. Words that
 * follow "the container". An overlay stands before `root`, and not before `mount`, which leads to the files themselves.
 */
export interface RootExposure {
  readonly way: 'root' | 'mount'
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
 * Without CAP_SYS_ADMIN a process cannot mount its root anew, and every write through a read-only mount is refused by the
 * kernel before it asks for owners and capabilities. The sets do not matter: what is in one of them can be had. In user
 * namespaces that the process makes itself, the kernel locks read-only mounts.
 *
 * @param places the folders of the store and of the deployments.
 */
export function rootExposures(
  configuration: RuntimeConfiguration,
  places: readonly string[],
  host: HostLookup,
): RootExposure[] {
  const exposures: RootExposure[] = []
  const sets = Object.values(configuration.process.capabilities ?? {}).flat()
  if (sets.includes('CAP_SYS_ADMIN')) {
    exposures.push({ way: 'root', reason: 'may have CAP_SYS_ADMIN, with which it can mount its root writable' })
  }
  const mountNamespace = configuration.linux?.namespaces?.find(({ type }) => type === 'mount')
  if (mountNamespace === undefined || mountNamespace.path !== undefined) {
    exposures.push({ way: 'mount', reason: 'has no mount namespace of its own' })
  }
  for (const mount of configuration.mounts ?? []) {
    const place = places.find((each) => isWritableThrough(mount, each, host))
    if (place === undefined) continue
    const reason = `has '${mount.source}' mounted writable, where it reaches '${place}'`
    exposures.push({ way: 'mount', reason })
  }
  return exposures
}

/** A source without a leading slash lies in the deployment. */
function isWritableThrough(mount: Mount, place: string, host: HostLookup): boolean {
  if (!isBindMount(mount) || mount.source === undefined) return false
  const source = mount.source.startsWith('/') ? host.realPath(posix.normalize(mount.source)) : place
  const real = host.realPath(place)
  if (!isWithin(real, source) && !isWithin(source, real)) return false
  const options = mount.options ?? []
  if (options.includes('rro')) return false
  if (options.findLast((option) => option === 'ro' || option === 'rw') !== 'ro') return true
  // `ro` holds for the mount itself, and not for those below it.
  return options.includes('rbind') && isWithin(real, source) && host.isMountedBelow(source, real)
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`)
}
