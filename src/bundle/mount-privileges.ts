import { posix } from 'node:path'
import { isBindMount, isReadOnly } from './bind-mount.ts'
import { credentialsFolder } from './credentials.ts'
import { isData, isWithin, meet, reachedPower } from './mount-exposure.ts'
import { notifySocket } from './notify-socket.ts'
import type { Privilege } from './privilege.ts'
import { hasOwnNamespace } from './runtime-configuration.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'
import { withoutVarRun } from './var-run.ts'

/**
 * What a container has mounted of the host. What forerun adds itself, the socket of systemd and credentials, is left out.
 *
 * @param service.folder the deployment, where relative sources lie.
 */
export function mountPrivileges(
  configuration: RuntimeConfiguration,
  service: { name: string; folder: string },
): Privilege[] {
  const { mounts = [], linux } = configuration
  const isShared = /shared$/.test(linux?.rootfsPropagation ?? '')
  const privileges = [
    ...mounts.flatMap((mount) => mountPrivilege(mount, configuration, service)),
    ...(isShared
      ? [power('propagation root', 'mounts that it makes appear on the host (rootfsPropagation is shared)')]
      : []),
  ]
  return [...new Map(privileges.map((privilege) => [privilege.key, privilege])).values()]
}

function mountPrivilege(
  mount: Mount,
  configuration: RuntimeConfiguration,
  service: { name: string; folder: string },
): Privilege[] {
  if (isBindMount(mount)) return bindPrivileges(mount, service)
  const { type = '', source = '', destination, options = [] } = mount
  const isWritable = !isReadOnly(mount)
  if (type === 'cgroup' || type === 'cgroup2') {
    if (!isWritable) return []
    if (hasOwnNamespace(configuration, 'cgroup')) {
      return [ordinary('cgroup own', `changes its own control groups (${destination})`)]
    }
    return [power('cgroup host', `changes the control groups of the host (${destination})`)]
  }
  if (type === 'sysfs') {
    return isWritable ? [power('sysfs rw', `may write to ${destination}: devices and settings of the kernel`)] : []
  }
  if (harmlessTypes.has(type)) return []
  const data = options.filter((option) => option.includes('=')).sort()
  const details = [source, ...data].filter((word) => word !== '').join(' ')
  return [
    power(
      ['type', isWritable ? 'rw' : 'ro', type, details].join(' '),
      `mounts a file system of type ${type}${details === '' ? '' : ` (${details})`} at ${destination}`,
    ),
  ]
}

/** Those that hold nothing but what the container writes, or what others tell of. */
const harmlessTypes = new Set(['devpts', 'mqueue', 'proc', 'ramfs', 'tmpfs', ''])

function bindPrivileges(mount: Mount, { name, folder }: { name: string; folder: string }): Privilege[] {
  const { options = [], destination } = mount
  const source = withoutVarRun(posix.resolve(folder, mount.source ?? ''))
  if (isOwn(mount, source, name) || isWithin(source, posix.join(folder, 'rootfs'))) return []
  const access = isReadOnly(mount) ? 'ro' : 'rw'
  // Of the type alone it depends on the runtime.
  const isAlone = options.includes('bind') && !options.includes('rbind')
  const depth = isAlone ? 'alone' : options.includes('rro') ? 'readable' : 'all'
  const verb = access === 'rw' ? 'reads and changes' : 'reads'
  const at = posix.resolve('/', destination) === source ? '' : ` (at ${destination})`
  const what = source === '/' ? 'all files' : source
  const why = bindPower(source, { isWritable: access === 'rw', containers: posix.dirname(folder) })
  const below =
    access === 'ro' && depth === 'all' && submounts.some((each) => isWithin(each, source) && each !== source)
  const text = `${verb} ${what} of the host${at}${below ? ', and changes what is mounted below' : ''}${why ? `: ${why}` : ''}`
  const isPower = why !== undefined || below
  return [
    { kind: 'mount', key: `bind ${access} ${depth} ${source}`, text, weight: isPower ? 'power' : 'ordinary' },
    ...(options.some((option) => /^r?shared$/.test(option))
      ? [power(`propagation ${source}`, `mounts that it makes below ${source} appear on the host`)]
      : []),
  ]
}

function isOwn({ destination, options = [] }: Mount, source: string, name: string): boolean {
  if (source === credentialsFolder(name)) return destination === source && options.includes('ro')
  return source === notifySocket && [notifySocket, '/.notify'].includes(destination) && options.includes('ro')
}

/** Why what is there gives power over the host; empty where that is plain, undefined where it does not. */
function bindPower(
  source: string,
  { isWritable, containers }: { isWritable: boolean; containers: string },
): string | undefined {
  if (isWithin(source, '/dev')) {
    if (source === '/dev') return 'disks, memory, terminals'
    return harmlessDevices.test(source) ? undefined : ''
  }
  const reached = reachedPower(source)
  if (reached !== undefined) {
    if (reached === '/proc') return 'by /proc it reaches the files and the memory of all processes'
    return source === reached ? 'what is there does what root asks' : `it reaches ${reached}, which does what root asks`
  }
  if (isWritable && !isData(source)) return ''
  if (meet(source, containers)) return 'the configurations of containers lie there'
  const secret = secretPlaces.find((place) => meet(source, place))
  if (secret === undefined) return undefined
  return source === secret ? 'secrets lie there' : `${secret} is there`
}

const harmlessDevices = /^\/dev\/(?:null|zero|full|u?random|tty|log|shm|mqueue|pts|net|net\/tun|fuse|kvm|dri)(?:\/|$)/

/** What nobody but root may read, or the user that it belongs to. */
const secretPlaces = [
  '/etc/shadow',
  '/etc/gshadow',
  '/etc/ssh',
  '/etc/ssl/private',
  '/etc/pki/tls/private',
  '/etc/kubernetes',
  '/root',
  '/home',
  '/var/lib/forerun',
  '/var/lib/kubelet',
  '/run/credentials',
]

/** Where every host has other file systems mounted. */
const submounts = ['/boot', '/dev', '/dev/shm', '/dev/pts', '/home', '/proc', '/run', '/sys', '/sys/fs/cgroup', '/tmp']

/** Tells whether what a bind mount shows is in one of others, by their keys: of `ro` and `rw`, and how deep each goes. */
export function bindCoverage(keys: readonly string[]): (key: string) => boolean {
  const byPath = Map.groupBy(
    keys.map(parseBind).filter((bind) => bind !== undefined),
    ({ path }) => path,
  )
  return (key) => {
    const wanted = parseBind(key)
    if (wanted === undefined) return false
    return foldersAbove(wanted.path).some((path) => byPath.get(path)?.some((bind) => covers(bind, wanted)))
  }
}

interface Bind {
  readonly access: string
  readonly depth: string
  readonly path: string
}

function parseBind(key: string): Bind | undefined {
  const [, access, depth, path] = /^bind (ro|rw) (alone|readable|all) (\/.*)$/s.exec(key) ?? []
  return access === undefined || depth === undefined || path === undefined ? undefined : { access, depth, path }
}

/** With itself. A path that no system call takes is not looked into. */
function foldersAbove(path: string): string[] {
  const folders = [path]
  for (let above = path; above !== '/' && path.length <= 4096; ) {
    above = posix.dirname(above)
    folders.push(above)
  }
  return folders
}

/** @param wanted lies in the other. */
function covers({ access, depth, path }: Bind, wanted: Bind): boolean {
  if (access === 'ro' && wanted.access === 'rw') return false
  const isBetween = (each: string): boolean => each !== path && isWithin(each, path) && isWithin(wanted.path, each)
  const isBelow = (each: string): boolean => each !== wanted.path && isWithin(each, wanted.path)
  if (depth === 'alone' && submounts.some(isBetween)) return false
  if (wanted.depth === 'alone' || !submounts.some(isBelow)) return true
  return depth === 'all' || (depth === 'readable' && wanted.depth === 'readable')
}

function power(key: string, text: string): Privilege {
  return { kind: 'mount', key, text, weight: 'power' }
}

function ordinary(key: string, text: string): Privilege {
  return { kind: 'mount', key, text, weight: 'ordinary' }
}
