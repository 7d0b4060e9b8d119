import type { Privilege } from './privilege.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'

type Linux = NonNullable<RuntimeConfiguration['linux']>
type DeviceRule = NonNullable<NonNullable<Linux['resources']>['devices']>[number]

/** The devices that a container may open beside those that every one has (`/dev/null`, terminals). */
export function devicePrivileges({ linux }: RuntimeConfiguration): Privilege[] {
  const nodes = (linux?.devices ?? []).filter(({ type }) => type !== 'p')
  const rules = linux?.resources?.devices
  const names = new Map(nodes.map(({ type, major, minor, path }) => [`${typeOf(type)} ${major}:${minor}`, path]))
  // A runtime may take a node for a rule.
  const all = [
    ...(rules ?? []).filter(({ allow }) => allow),
    ...nodes.map(({ type, major, minor }) => ({ type: typeOf(type), major, minor, access: 'rwm' })),
  ].map(({ type = 'a', major, minor, access = 'rwm' }) => ({ type, numbers: numbersOf(major, minor), access }))
  const last = rules?.findLastIndex(refusesAll)
  const after = (rules ?? []).slice(0, (last ?? -1) + 1).filter(({ allow }) => allow).length
  const privileges = all.slice(after).flatMap((rule) => devicePrivilege(rule, names))
  const unique = [...new Map(privileges.map((privilege) => [privilege.key, privilege])).values()]
  if (last !== undefined && last >= 0) return unique
  return [
    ...unique,
    {
      kind: 'device',
      key: 'unruled',
      text: 'no rule of its own refuses devices: the runtime decides which it opens',
      weight: 'ordinary',
    },
  ]
}

function refusesAll({ allow, type = 'a', major, minor, access = 'rwm' }: DeviceRule): boolean {
  return !allow && type === 'a' && numbersOf(major, minor) === '*:*' && access.includes('r') && access.includes('w')
}

function devicePrivilege(
  { type, numbers, access }: { type: string; numbers: string; access: string },
  names: ReadonlyMap<string, string>,
): Privilege[] {
  const opening = ['r', 'w'].filter((letter) => access.includes(letter)).join('')
  // To make a node without being allowed to open it gives nothing.
  if (opening === '' || standardDevices.has(`${type} ${numbers}`)) return []
  const device = `${type} ${numbers}`
  const known = knownDevices[device]
  const name = names.get(device) ?? known?.[0]
  const what =
    type === 'a' ? 'all devices of the host' : `${kinds[type]} ${numbers}${name === undefined ? '' : ` (${name})`}`
  const verb = opening === 'rw' ? 'reads and writes' : opening === 'r' ? 'reads' : 'writes'
  const text = `${verb} ${numbers === '*:*' && type !== 'a' ? `all ${kinds[type]}s of the host` : what}`
  return [{ kind: 'device', key: `${device} ${opening}`, text, weight: known?.[1] ?? 'power' }]
}

function typeOf(type: string): string {
  return type === 'u' ? 'c' : type
}

/** The kernel takes an absent number, or one below zero, for all. */
function numbersOf(major: number | bigint | undefined, minor: number | bigint | undefined): string {
  return [major, minor].map((number) => (number === undefined || number < 0 ? '*' : `${number}`)).join(':')
}

const kinds: Readonly<Record<string, string>> = { b: 'block device', c: 'character device' }

const standardDevices = new Set(
  ['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '136:*'].map((numbers) => `c ${numbers}`),
)

/** Those with a meaning that is the same everywhere, and that reach nothing of the host's own. */
const knownDevices: Readonly<Record<string, readonly [name: string, weight: 'ordinary' | 'power']>> = {
  'c 1:1': ['/dev/mem', 'power'],
  'c 1:2': ['/dev/kmem', 'power'],
  'c 1:4': ['/dev/port', 'power'],
  'c 1:11': ['/dev/kmsg', 'power'],
  'c 10:200': ['/dev/net/tun', 'ordinary'],
  'c 10:229': ['/dev/fuse', 'ordinary'],
  'c 10:232': ['/dev/kvm', 'ordinary'],
}
