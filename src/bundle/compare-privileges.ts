import { bindCoverage } from './mount-privileges.ts'
import type { Privilege } from './privilege.ts'
import { moreCalls } from './seccomp-privileges.ts'

export interface PrivilegeDifference {
  /** What the later has that nothing of the earlier covers. */
  readonly more: readonly Privilege[]
  /** What the earlier had that nothing of the later covers. */
  readonly less: readonly Privilege[]
}

/**
 * What a deployment may do that the one before could not, and the reverse: a folder of the host that could be written to covers
 * one in it that can be read, all devices cover one, root covers every user. A filter of system calls is compared by calls.
 */
export function comparePrivileges(before: readonly Privilege[], after: readonly Privilege[]): PrivilegeDifference {
  return { more: beyond(before, after), less: beyond(after, before) }
}

/** What both have is found by its key first: an image may name thousands of units. */
function beyond(covering: readonly Privilege[], privileges: readonly Privilege[]): Privilege[] {
  const filter = covering.find(({ calls }) => calls !== undefined)?.calls
  const present = new Set(covering.map(({ kind, key }) => `${kind} ${key}`))
  const byKind = Map.groupBy(covering, ({ kind }) => kind)
  const sharesUsers = present.has('namespace user host')
  const isBound = bindCoverage(covering.map(({ kind, key }) => (kind === 'mount' ? key : '')))
  return privileges.flatMap((privilege) => {
    const { kind, key } = privilege
    if (privilege.calls !== undefined && filter !== undefined) {
      const calls = moreCalls(filter, privilege.calls)
      return calls.length === 0 ? [] : [{ ...privilege, text: `system calls: ${calls.join(', ')}` }]
    }
    if (present.has(`${kind} ${key}`)) return []
    // With the users of the host it may become any of them.
    if (sharesUsers && kind === 'user' && /^[ug]ids /.test(key)) return []
    if (kind === 'mount' && key.startsWith('bind ')) return isBound(key) ? [] : [privilege]
    const covers = rules[kind]
    const others = byKind.get(kind) ?? []
    const isCovered =
      covers !== undefined && others.length <= mostCompared && others.some((each) => covers(each.key, key))
    return isCovered ? [] : [privilege]
  })
}

/** No honest image has more of a kind. Of one that has, only what is just the same counts as covered, lest comparing takes minutes. */
const mostCompared = 1000

type Covers = (key: string, other: string) => boolean

const rules: Partial<Record<Privilege['kind'], Covers>> = {
  capability: (key, other) => `${key} namespaced` === other,
  device: coversDevice,
  'host-command': (key, other) => {
    const [setting, user, ...line] = key.split(' ')
    const [otherSetting, , ...otherLine] = other.split(' ')
    return user === 'root' && setting === otherSetting && line.join(' ') === otherLine.join(' ')
  },
  mount: (key, other) => (key === 'cgroup host' && other === 'cgroup own') || coversType(key, other),
  rlimit: (key, other) => coversNumber(key, other, (number, wanted) => number >= wanted),
  scheduling: (key, other) => coversNumber(key, other, (number, wanted) => number <= wanted),
  // Without a filter every call may be made, and none has to be decided.
  seccomp: (key) => key === 'none',
  'security-module': (key, other) => /^\S+ none$/.test(key) && key.split(' ')[0] === other.split(' ')[0],
  user: coversUser,
}

/** Of `TYPE MAJOR:MINOR ACCESS`. */
function coversDevice(key: string, other: string): boolean {
  const [type, numbers = '', access = ''] = key.split(' ')
  const [wantedType, wantedNumbers = '', wantedAccess = ''] = other.split(' ')
  if (type === 'unruled') return false
  if (wantedType === 'unruled') return type === 'a' && access === 'rw'
  if (type !== 'a' && type !== wantedType) return false
  const [wantedMajor, wantedMinor] = wantedNumbers.split(':')
  const [major, minor] = numbers.split(':')
  if (type !== 'a' && !((major === '*' || major === wantedMajor) && (minor === '*' || minor === wantedMinor)))
    return false
  return [...wantedAccess].every((letter) => access.includes(letter))
}

/** The same file system, which could be written to. */
function coversType(key: string, other: string): boolean {
  return key.startsWith('type rw ') && other === key.replace('type rw ', 'type ro ')
}

function coversNumber(key: string, other: string, covering: (number: bigint, wanted: bigint) => boolean): boolean {
  const [what, number = ''] = key.split(' ')
  const [wantedWhat, wanted = ''] = other.split(' ')
  if (what !== wantedWhat || !/^-?\d+$/.test(number) || !/^-?\d+$/.test(wanted)) return false
  return covering(BigInt(number), BigInt(wanted))
}

function coversUser(key: string, other: string): boolean {
  const [what, first = '', last = ''] = key.split(' ')
  const [wantedWhat, wantedFirst = '', wantedLast = ''] = other.split(' ')
  if (what === 'uid') return first === '0' && (wantedWhat === 'uid' || wantedWhat === 'gid')
  if (what !== wantedWhat || last === '' || wantedLast === '') return false
  return BigInt(first) <= BigInt(wantedFirst) && BigInt(last) >= BigInt(wantedLast)
}
