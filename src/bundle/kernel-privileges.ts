import { posix } from 'node:path'
import { defaultMaskedPaths, defaultReadonlyPaths } from './default-isolation.ts'
import type { Privilege, PrivilegeWeight } from './privilege.ts'
import { hasOwnNamespace } from './runtime-configuration.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'

/** Namespaces, interfaces of the kernel, hooks, and annotations that a runtime obeys. */
export function kernelPrivileges(configuration: RuntimeConfiguration): Privilege[] {
  return [
    ...namespaces(configuration),
    ...kernelPaths(configuration),
    ...sysctls(configuration),
    ...hooks(configuration),
    ...annotations(configuration),
  ]
}

function namespaces({ linux }: RuntimeConfiguration): Privilege[] {
  return namespaceTypes.flatMap(([type, shared, weight]): Privilege[] => {
    const own = linux?.namespaces?.find((namespace) => namespace.type === type)
    if (own === undefined || ofHost.test(own.path ?? '')) {
      return [{ kind: 'namespace', key: `${type} host`, text: `${shared} of the host`, weight }]
    }
    if (own.path === undefined) return []
    return [{ kind: 'namespace', key: `${type} path ${own.path}`, text: `${shared} of ${own.path}`, weight }]
  })
}

/** The runtime is a process of the host. */
const ofHost = /^\/proc\/(?:1|self|thread-self)\/ns\//

/** That of time is left out: without it a container has the clocks that every process has. */
const namespaceTypes = [
  ['pid', 'processes', 'power'],
  ['mount', 'mounts', 'power'],
  ['ipc', 'shared memory and semaphores', 'power'],
  ['network', 'network', 'ordinary'],
  ['uts', 'host name', 'ordinary'],
  ['cgroup', 'view of control groups', 'ordinary'],
  ['user', 'users and groups', 'ordinary'],
] as const satisfies readonly (readonly [string, string, PrivilegeWeight])[]

/** What usually is hidden or read-only below the mounts of /proc and /sys, and here is neither. */
function kernelPaths({ mounts = [], linux }: RuntimeConfiguration): Privilege[] {
  const isThere = (path: string): boolean =>
    mounts.some(({ destination }) => path.startsWith(`${posix.resolve('/', destination)}/`) && destination !== '/')
  const masked = new Set(linux?.maskedPaths ?? [])
  const readonly = new Set([...masked, ...(linux?.readonlyPaths ?? [])])
  const isIn = (path: string, list: ReadonlySet<string>): boolean =>
    [...list].some((each) => path === each || path.startsWith(`${each}/`))
  const open = defaultMaskedPaths.filter((path) => isThere(path) && !isIn(path, masked))
  const writable = defaultReadonlyPaths.filter((path) => isThere(path) && !isIn(path, readonly))
  return [
    ...writable.map((path): Privilege => {
      const words = powerfulPaths[path]
      const text = `may write to ${path}${words === undefined ? '' : `: ${words}`}`
      return { kind: 'kernel-path', key: `writable ${path}`, text, weight: words === undefined ? 'ordinary' : 'power' }
    }),
    ...open.map(
      (path): Privilege => ({
        kind: 'kernel-path',
        key: `unmasked ${path}`,
        text: `sees ${path}, which usually is hidden`,
        weight: 'ordinary',
      }),
    ),
  ]
}

const powerfulPaths: Readonly<Record<string, string>> = {
  '/proc/sys': 'settings of the kernel, of which some name programs that it runs as root',
  '/proc/sysrq-trigger': 'reboots the host',
}

function sysctls(configuration: RuntimeConfiguration): Privilege[] {
  return Object.entries(configuration.linux?.sysctl ?? {}).map(([name, value]) => {
    const namespace = sysctlNamespaces.find(([pattern]) => pattern.test(name))?.[1]
    const isOwn = namespace !== undefined && hasOwnNamespace(configuration, namespace)
    const text = `sets ${name} = ${value}${isOwn ? ' for itself' : ', a setting of the whole host'}`
    return { kind: 'sysctl', key: `${name} ${value}`, text, weight: isOwn ? 'ordinary' : 'power' }
  })
}

const sysctlNamespaces = [
  [/^net[./]/, 'network'],
  [/^(?:kernel[./](?:msg|sem|shm)|fs[./]mqueue[./])/, 'ipc'],
  [/^kernel[./](?:hostname|domainname)$/, 'uts'],
] as const

/** All but startContainer are programs of the host, which the runtime starts as root. */
function hooks({ hooks: all = {} }: RuntimeConfiguration): Privilege[] {
  return hookPoints.flatMap((point) =>
    (all[point] ?? []).map(({ path, args = [], env = [] }): Privilege => {
      const isInside = point === 'startContainer'
      const command = [...env, path, ...args.slice(1)].join(' ')
      const where = isInside ? 'in the container' : 'as root on the host'
      const text = `runs ${command} ${where} (hook ${point})`
      return { kind: 'hook', key: `${point} ${command}`, text, weight: isInside ? 'ordinary' : 'power' }
    }),
  )
}

const hookPoints = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const

/** Some are orders: `run.oci.` to crun, `org.systemd.property.` to a runtime that asks systemd for a scope. */
function annotations({ annotations: all = {} }: RuntimeConfiguration): Privilege[] {
  return Object.entries(all)
    .filter(([name]) => /^(?:run\.oci\.|org\.systemd\.property\.|org\.criu\.)/.test(name))
    .map(([name, value]) => ({
      kind: 'annotation',
      key: `${name} ${value}`,
      text: `tells the runtime ${name} = ${value}`,
      weight: 'power',
    }))
}
