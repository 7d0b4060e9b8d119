import { allCapabilities } from './capabilities.ts'
import { capabilityWords } from './capability-words.ts'
import type { Privilege } from './privilege.ts'
import { capabilitiesOf, hasOwnNamespace } from './runtime-configuration.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'

/** Capabilities, users, limits, and what else `process` of a configuration gives. */
export function processPrivileges(configuration: RuntimeConfiguration): Privilege[] {
  return [
    ...capabilityPrivileges(configuration),
    ...userPrivileges(configuration),
    ...newPrivileges(configuration),
    ...securityModules(configuration),
    ...limits(configuration),
    ...scheduling(configuration),
  ]
}

/** In a user namespace of the container's own they reach only what belongs to that. */
function capabilityPrivileges(configuration: RuntimeConfiguration): Privilege[] {
  const isNamespaced = hasOwnNamespace(configuration, 'user')
  return [...capabilitiesOf(configuration)].sort(inKernelsOrder).map((name) => {
    const { words, weight } = capabilityWords(name)
    const text = `capability ${name.replace(/^CAP_/, '')}: ${words}`
    return isNamespaced
      ? {
          kind: 'capability',
          key: `${name} namespaced`,
          text: `${text}, in its own user namespace`,
          weight: 'ordinary',
        }
      : { kind: 'capability', key: name, text, weight }
  })
}

function inKernelsOrder(a: string, b: string): number {
  const [first, second] = [a, b].map((name) => allCapabilities.indexOf(name) + 1 || allCapabilities.length + 1)
  return (first ?? 0) - (second ?? 0) || (a < b ? -1 : 1)
}

/** By the numbers that the host has for them. Root's groups say nothing more. */
function userPrivileges(configuration: RuntimeConfiguration): Privilege[] {
  const { linux } = configuration
  const { uid, gid, additionalGids = [] } = configuration.process.user ?? { uid: 0, gid: 0 }
  const isMapped = hasOwnNamespace(configuration, 'user')
  const [uids, gids] = isMapped ? [linux?.uidMappings ?? [], linux?.gidMappings ?? []] : [[], []]
  const hostUid = hostId(uid, uids)
  const user = hostUid === 0 ? 'as root' : `as user ${hostUid}${uid === 0 ? ', who is root in the container' : ''}`
  const groups = [...new Set([gid, ...additionalGids].map((id) => hostId(id, gids)))]
  return [
    ordinary('user', `uid ${hostUid}`, `runs ${user}`),
    ...(hostUid === 0 ? [] : groups.map((id) => ordinary('user', `gid ${id}`, `has the rights of group ${id}`))),
    ...uids.map((mapping) => mappedIds('uids', mapping)),
    ...gids.map((mapping) => mappedIds('gids', mapping)),
  ]
}

interface IdMapping {
  readonly containerID: number | bigint
  readonly hostID: number | bigint
  readonly size: number | bigint
}

function hostId(id: number | bigint, mappings: readonly IdMapping[]): number {
  const mapping = mappings.find(
    ({ containerID, size }) => id >= containerID && BigInt(id) < BigInt(containerID) + BigInt(size),
  )
  return mapping === undefined ? Number(id) : Number(id) - Number(mapping.containerID) + Number(mapping.hostID)
}

function mappedIds(what: 'uids' | 'gids', { hostID, size }: IdMapping): Privilege {
  const last = BigInt(hostID) + BigInt(size) - 1n
  const name = what === 'uids' ? 'users' : 'groups'
  const text = `may become ${name} ${hostID} to ${last} of the host`
  return { kind: 'user', key: `${what} ${hostID} ${last}`, text, weight: BigInt(hostID) === 0n ? 'power' : 'ordinary' }
}

function newPrivileges({ process }: RuntimeConfiguration): Privilege[] {
  if (process.noNewPrivileges === true) return []
  return [
    ordinary(
      'no-new-privileges',
      'off',
      'its processes may gain privileges by set-uid programs (noNewPrivileges is off)',
    ),
  ]
}

/** A domain of SELinux that confines nothing is as none. */
function securityModules({ process }: RuntimeConfiguration): Privilege[] {
  const profile = process.apparmorProfile ?? ''
  const domain = process.selinuxLabel?.split(':')[2] ?? ''
  const isFree = domain === '' || /^(?:spc_t|unconfined(?:_service)?_t|container_runtime_t)$/.test(domain)
  return [
    profile === '' || profile === 'unconfined'
      ? ordinary('security-module', 'apparmor none', 'no profile of AppArmor confines it')
      : ordinary('security-module', `apparmor profile ${profile}`, `the profile ${profile} of AppArmor confines it`),
    isFree
      ? ordinary('security-module', 'selinux none', 'no domain of SELinux confines it')
      : ordinary('security-module', `selinux domain ${domain}`, `the domain ${domain} of SELinux confines it`),
  ]
}

/** Only those that are more than systemd gives to every service. */
function limits({ process }: RuntimeConfiguration): Privilege[] {
  return (process.rlimits ?? []).flatMap(({ type, hard }) => {
    const usual = usualLimits[type]
    if (usual === undefined || BigInt(hard) <= BigInt(usual)) return []
    return [ordinary('rlimit', `${type} ${hard}`, `raises the limit ${type} to ${hard}`)]
  })
}

/** systemd-system.conf(5), "DefaultLimitCPU=", and the kernel's own. All others are without an end. */
const usualLimits: Readonly<Record<string, number>> = {
  RLIMIT_MEMLOCK: 8 * 1024 * 1024,
  RLIMIT_MSGQUEUE: 819_200,
  RLIMIT_NICE: 0,
  RLIMIT_NOFILE: 524_288,
  RLIMIT_RTPRIO: 0,
}

function scheduling({ process }: RuntimeConfiguration): Privilege[] {
  const { oomScoreAdj = 0, scheduler, ioPriority } = process
  const isRealTime = scheduler !== undefined && /^SCHED_(?:FIFO|RR|DEADLINE)$/.test(scheduler.policy)
  return [
    ...(oomScoreAdj < 0
      ? [
          ordinary(
            'scheduling',
            `oom-score ${oomScoreAdj}`,
            `is spared when memory runs out (oomScoreAdj ${oomScoreAdj})`,
          ),
        ]
      : []),
    ...(isRealTime
      ? [ordinary('scheduling', `policy ${scheduler.policy}`, `runs before other processes (${scheduler.policy})`)]
      : []),
    ...((scheduler?.nice ?? 0) < 0
      ? [
          ordinary(
            'scheduling',
            `nice ${scheduler?.nice}`,
            `gets more of the processor than others (nice ${scheduler?.nice})`,
          ),
        ]
      : []),
    ...(ioPriority?.class === 'IOPRIO_CLASS_RT'
      ? [ordinary('scheduling', 'io IOPRIO_CLASS_RT', 'reads and writes disks before other processes')]
      : []),
  ]
}

function ordinary(kind: Privilege['kind'], key: string, text: string): Privilege {
  return { kind, key, text, weight: 'ordinary' }
}
