import { join } from 'node:path'

/** Where things lie on the host. Absolute, and beneath the root that forerun works on. */
export interface HostPaths {
  readonly store: string
  /** Deployments `NAME.0` and `NAME.1`, and the link `NAME` to the one in use. */
  readonly containers: string
  readonly journal: string
  /** Folders of the locks: of what containers are made of, and of what they put on the host. */
  readonly storeLock: string
  readonly hostLock: string
  readonly units: string
  readonly tmpfiles: string
  /** Settings of Project Atomic's tool, which say where its deployments are. */
  readonly atomicSettings: string
}

export function hostPaths(places: { store: string; containers: string }): HostPaths {
  return {
    store: places.store,
    containers: places.containers,
    journal: '/var/lib/forerun/journal',
    storeLock: '/run/forerun/store.lock',
    hostLock: '/run/forerun/host.lock',
    units: '/etc/systemd/system',
    tmpfiles: '/etc/tmpfiles.d',
    atomicSettings: '/etc/atomic.conf',
  }
}

/** Name of the unit of a container. */
export function unitName(container: string): string {
  return `${container}.service`
}

export function unitPath(paths: HostPaths, container: string): string {
  return unitFilePath(paths, unitName(container))
}

/** Of a unit under its own name. */
export function unitFilePath(paths: HostPaths, unit: string): string {
  return join(paths.units, unit)
}

/** The one drop-in of forerun. */
export function dropInPath(paths: HostPaths, container: string): string {
  return join(paths.units, `${unitName(container)}.d`, '10-forerun.conf')
}

export function tmpfilesPath(paths: HostPaths, container: string): string {
  return join(paths.tmpfiles, `${container}.conf`)
}

/**
 * Where the tmpfiles.d lines of a container go. A file of that name in a lower place, of a package of the host, would be masked:
 * then another name is taken (tmpfiles.d(5), "Configuration directories and precedence").
 *
 * @param kind what lies at a path; undefined when there is nothing.
 */
export function freeTmpfilesPath(paths: HostPaths, container: string, kind: (path: string) => unknown): string {
  const name = `${container}.conf`
  const isTaken = lowerTmpfiles.some((folder) => kind(join(folder, name)) !== undefined)
  return isTaken ? join(paths.tmpfiles, `container-${name}`) : tmpfilesPath(paths, container)
}

const lowerTmpfiles = ['/run/tmpfiles.d', '/usr/local/lib/tmpfiles.d', '/usr/lib/tmpfiles.d']
