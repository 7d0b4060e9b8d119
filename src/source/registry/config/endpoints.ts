import { ForerunError } from '../../../errors.ts'
import { formatReference, parseReference, type Reference } from '../../../image/reference.ts'
import type { RegistriesConf } from './registries-conf.ts'
import type { RegistryTable } from './registries-conf-format.ts'

/** A place from which an image can be had. */
export interface Endpoint {
  /** The image's name there. */
  readonly reference: Reference
  readonly isMirror: boolean
  /** Plain HTTP and unchecked certificates will do. */
  readonly insecure: boolean
  /** In place of the proxy that the environment names. */
  readonly proxy: URL | undefined
  /** The table that forbids to ask there. */
  readonly blockedBy: RegistryTable | undefined
}

/**
 * Where to pull an image from, in the order in which to try: the mirrors that are for it, then the place itself, which may be another than
 * its name says. The table with the longest prefix decides. A blocked place remains in the list, to be told of: its mirrors may be asked.
 *
 * @throws ForerunError `settings` when a location does not make a name of an image's name.
 */
export function endpointsFor(conf: RegistriesConf, reference: Reference): Endpoint[] {
  const table = tableFor(conf, reference)
  if (table === undefined) return [directEndpoint(conf, reference)]
  const mirrors = table.mirrors.filter(({ pulls }) => {
    return pulls === 'all' || (pulls === 'digest-only') === (reference.digest !== undefined)
  })
  return [...mirrors, table].map(({ location, insecure, proxy }, index) => {
    const isMirror = index < mirrors.length
    const moved = rewritten(reference, { table, location })
    const blockedBy = blockingTable(conf, moved) ?? (!isMirror && table.blocked ? table : undefined)
    return { reference: moved, isMirror, insecure, proxy, blockedBy }
  })
}

/** The place that the name itself says, as it is used for pushing and for looking around. */
export function directEndpoint(conf: RegistriesConf, reference: Reference): Endpoint {
  const table = tableFor(conf, reference)
  const { insecure = false, proxy } = table ?? {}
  return { reference, isMirror: false, insecure, proxy, blockedBy: blockingTable(conf, reference) }
}

/** @throws ForerunError `registry` when registries.conf forbids the place. */
export function checkAllowed({ reference, blockedBy }: Endpoint): void {
  if (blockedBy === undefined) return
  throw new ForerunError('registry', `${formatReference(reference)} is blocked by ${blockedBy.file}`, {
    hint: `The [[registry]] of '${blockedBy.prefix}' in ${blockedBy.file} says blocked = true.`,
  })
}

function blockingTable(conf: RegistriesConf, reference: Reference): RegistryTable | undefined {
  const table = tableFor(conf, reference)
  return table?.blocked === true ? table : undefined
}

function tableFor({ registries }: RegistriesConf, reference: Reference): RegistryTable | undefined {
  const name = formatReference(reference)
  return registries
    .filter(({ prefix }) => matchedLength(name, prefix) !== undefined)
    .reduce<RegistryTable | undefined>(
      (a, b) => (a !== undefined && a.prefix.length >= b.prefix.length ? a : b),
      undefined,
    )
}

/** How many characters of a full name the prefix stands for; undefined when it does not fit. */
function matchedLength(name: string, prefix: string): number | undefined {
  const end = prefix.startsWith('*.') ? endOfSubdomain(name, prefix.slice(1)) : prefix.length
  const isMatch = prefix.startsWith('*.') ? end > 0 : name.startsWith(prefix)
  return isMatch && (end === name.length || /[:/@]/.test(name[end] ?? '')) ? end : undefined
}

/** Where a host below `.example.com` ends, with its port; 0 when the name has another. */
function endOfSubdomain(name: string, domain: string): number {
  const [whole, host = ''] = /^([^/:]*)(?::\d+)?(?=\/)/.exec(name) ?? ['']
  return host.length > domain.length && host.endsWith(domain) ? whole.length : 0
}

function rewritten(reference: Reference, { table, location }: { table: RegistryTable; location: string }): Reference {
  if (location === '') return reference
  const name = formatReference(reference)
  const rest = name.slice(matchedLength(name, table.prefix))
  // A prefix with * stands for a host without its port, which another bare host keeps.
  const port = table.prefix.startsWith('*.') && !/[:/]/.test(location) ? portOf(reference) : ''
  const moved = `${location}${port}${rest}`
  const parsed = parsedOrUndefined(moved)
  // A location without a host would silently become one at docker.io.
  if (parsed !== undefined && formatReference(parsed) === moved) return parsed
  throw new ForerunError(
    'settings',
    `${table.file}: location '${location}' makes '${moved}' of ${name}, which is no full name`,
    {
      hint: `Mend the [[registry]] of '${table.prefix}' in ${table.file}.`,
    },
  )
}

/** With its colon. */
function portOf({ domain }: Reference): string {
  return /:\d+$/.exec(domain)?.[0] ?? ''
}

function parsedOrUndefined(text: string): Reference | undefined {
  try {
    return parseReference(text)
  } catch (error) {
    if (error instanceof ForerunError) return undefined
    throw error
  }
}
