import { devicePrivileges } from './device-privileges.ts'
import { kernelPrivileges } from './kernel-privileges.ts'
import { mountPrivileges } from './mount-privileges.ts'
import type { Privilege } from './privilege.ts'
import { processPrivileges } from './process-privileges.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'
import { seccompPrivileges } from './seccomp-privileges.ts'
import { tmpfilesPrivileges } from './tmpfiles-privileges.ts'
import { unitPrivileges } from './unit-privileges.ts'
import { unitArgument, unitWord } from './unit-word.ts'

/** A service as it is installed, or would be. */
export interface PrivilegedService {
  readonly name: string
  /** The deployment, `NAME.0` or `NAME.1` where the name of a slot is given to it. */
  readonly folder: string
  /** Absolute path of the runtime. */
  readonly runtime: string
  /** As the runtime gets it. */
  readonly configuration: RuntimeConfiguration
  /** The rendered unit of the image, without forerun's drop-in and the unit that mounts its root. */
  readonly unit: string
  /** Lines of tmpfiles.d. */
  readonly tmpfiles?: string | undefined
  /** Secret values by variable: those that the user gave, since an image could hide a command in one of its own. */
  readonly secrets?: ReadonlyMap<string, string>
}

/**
 * What a service may do beyond its own files, that which gives power over the host first. Two deployments of a container that
 * differ in nothing but their slot, their control group and their secrets have the same privileges.
 */
export function servicePrivileges(service: PrivilegedService): Privilege[] {
  const { name, configuration } = service
  // By the link that leads to the deployment in use.
  const folder = service.folder.replace(/\.[01]$/, '')
  const slot = new RegExp(`${RegExp.escape(service.folder)}(?![\\w.-])`, 'g')
  const withoutSlot = (text: string): string => text.replace(slot, () => folder)
  const owner = { name, folder, runtime: service.runtime }
  const cleaned = mapStrings(configuration, withoutSlot) as RuntimeConfiguration
  const all = [
    ...processPrivileges(cleaned),
    ...kernelPrivileges(cleaned),
    ...mountPrivileges(cleaned, owner),
    ...devicePrivileges(cleaned),
    ...seccompPrivileges(cleaned.linux?.seccomp),
    ...unitPrivileges(withoutSlot(service.unit), owner),
    ...tmpfilesPrivileges(withoutSlot(service.tmpfiles ?? ''), { unit: `${name}.service` }),
  ].map(hiding(service.secrets ?? new Map()))
  return [...all.filter(({ weight }) => weight === 'power'), ...all.filter(({ weight }) => weight !== 'power')]
}

/** Names variables in place of their values, in what an image has written. */
function hiding(secrets: ReadonlyMap<string, string>): (privilege: Privilege) => Privilege {
  const hidden = [...secrets].flatMap(([variable, value]) =>
    value === ''
      ? []
      : [...new Set([value, unitWord(value), unitArgument(value), value.replaceAll('%', '%%')])].map(
          (written) => [written, `(secret ${variable})`] as const,
        ),
  )
  // The longest first, as one may hold another.
  hidden.sort(([a], [b]) => b.length - a.length)
  const hide = (text: string): string =>
    hidden.reduce((rest, [written, word]) => rest.replaceAll(written, () => word), text)
  return (privilege) =>
    fixedKinds.has(privilege.kind) ? privilege : { ...privilege, key: hide(privilege.key), text: hide(privilege.text) }
}

/** Those whose words are forerun's own. */
const fixedKinds: ReadonlySet<Privilege['kind']> = new Set([
  'capability',
  'device',
  'kernel-path',
  'no-new-privileges',
  'rlimit',
  'scheduling',
  'user',
])

function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((each) => mapStrings(each, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, mapStrings(member, change)]))
}
