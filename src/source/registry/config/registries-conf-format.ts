import { parse, TomlError } from 'smol-toml'
import * as v from 'valibot'
import { ForerunError } from '../../../errors.ts'
import { isShortName, parseReference, type Reference } from '../../../image/reference.ts'
import { parseProxy } from './proxy.ts'

/** What one file says. */
export interface RegistriesConfFile {
  readonly registries: readonly RegistryTable[]
  /** `unqualified-search-registries`; undefined when the file does not say. */
  readonly search: readonly string[] | undefined
  readonly shortNameMode: ShortNameMode | undefined
  readonly aliases: ReadonlyMap<string, Alias>
  readonly credentialHelpers: readonly string[] | undefined
}

export type ShortNameMode = 'enforcing' | 'permissive' | 'disabled'

/** `[[registry]]` */
export interface RegistryTable extends LocationTable {
  /** The file that it is in. */
  readonly file: string
  /** What an image's name must begin with: `quay.io/coreos`; or `*.example.com`. */
  readonly prefix: string
  readonly blocked: boolean
  /** In the order in which they are tried. */
  readonly mirrors: readonly MirrorTable[]
}

/** `[[registry.mirror]]` */
export interface MirrorTable extends LocationTable {
  readonly pulls: 'all' | 'digest-only' | 'tag-only'
}

interface LocationTable {
  /** What stands in place of the prefix. Empty: names that match stay as they are. */
  readonly location: string
  readonly insecure: boolean
  readonly proxy: URL | undefined
}

export interface Alias {
  readonly file: string
  /** Only its domain and path count. undefined: there is no such alias, whatever an earlier file says. */
  readonly target: Reference | undefined
}

/**
 * Reads one file of containers-registries.conf(5), version 2.
 *
 * @throws ForerunError `settings`
 */
export function parseRegistriesConf(text: string, file: string): RegistriesConfFile {
  const document = parseToml(text, file)
  if (isVersion1(document)) {
    throw new ForerunError(
      'settings',
      `${file} is of version 1 of registries.conf, which the containers tools no longer read`,
      {
        hint: 'Write unqualified-search-registries = ["HOST"] and [[registry]] tables; see containers-registries.conf(5).',
      },
    )
  }
  const result = v.safeParse(fileSchema, document, { abortEarly: true })
  if (!result.success) throw wrong(file, `${v.getDotPath(result.issues[0]) ?? ''}: ${result.issues[0].message}`)
  const found = result.output
  const registries = found.registry.map((table) => registryTable(table, file))
  checkConflicts(registries, file)
  const mode = found['short-name-mode']
  return {
    registries: registries.filter(
      ({ prefix }, index) => registries.findIndex((one) => one.prefix === prefix) === index,
    ),
    search: found['unqualified-search-registries']?.map((host) => searchRegistry(host, file)),
    shortNameMode: mode === '' ? undefined : mode,
    aliases: new Map(Object.entries(found.aliases).map(([name, target]) => [name, alias(name, { target, file })])),
    credentialHelpers: found['credential-helpers'],
  }
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text)
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    const reason = cause.message.split('\n', 1)[0]?.replace('Invalid TOML document: ', '')
    throw wrong(`${file}:${cause.line}`, `not TOML: ${reason}`, cause)
  }
}

/** `[registries.search]` and its kin. */
function isVersion1({ registries }: Record<string, unknown>): boolean {
  if (typeof registries !== 'object' || registries === null) return false
  return ['search', 'insecure', 'block'].some((key) => Object.hasOwn(registries, key))
}

const strings = v.optional(v.array(v.string()))

const locationEntries = {
  location: v.optional(v.string(), ''),
  insecure: v.optional(v.boolean(), false),
  proxy: v.optional(v.string(), ''),
  'pull-from-mirror': v.optional(v.picklist(['', 'all', 'digest-only', 'tag-only']), ''),
}

const registrySchema = v.object({
  ...locationEntries,
  prefix: v.optional(v.string(), ''),
  blocked: v.optional(v.boolean(), false),
  'mirror-by-digest-only': v.optional(v.boolean(), false),
  mirror: v.optional(v.array(v.object(locationEntries)), []),
})

const fileSchema = v.object({
  registry: v.optional(v.array(registrySchema), []),
  'unqualified-search-registries': strings,
  'credential-helpers': strings,
  'short-name-mode': v.optional(v.picklist(['', 'enforcing', 'permissive', 'disabled'])),
  aliases: v.optional(v.record(v.string(), v.string()), {}),
})

function registryTable(table: v.InferOutput<typeof registrySchema>, file: string): RegistryTable {
  const location = place(table.location, file)
  const prefix = place(table.prefix, file) || location
  const isWildcard = prefix.startsWith('*.')
  if (prefix === '') throw wrong(file, 'a [[registry]] has neither prefix nor location')
  if (isWildcard && /[/@:]/.test(prefix))
    throw wrong(file, `prefix '${prefix}': after *. comes a host and nothing else`)
  if (location === '' && !isWildcard) throw wrong(file, `the [[registry]] of '${prefix}' has no location`)
  if (table['pull-from-mirror'] !== '') {
    throw wrong(file, `pull-from-mirror of '${prefix}' belongs into its [[registry.mirror]] tables`)
  }
  return {
    file,
    prefix,
    location,
    blocked: table.blocked,
    insecure: table.insecure,
    proxy: proxyOf(table.proxy, file),
    mirrors: table.mirror.map((mirror) => mirrorTable(mirror, { prefix, table, file })),
  }
}

function mirrorTable(
  mirror: v.InferOutput<typeof registrySchema>['mirror'][number],
  { prefix, table, file }: { prefix: string; table: v.InferOutput<typeof registrySchema>; file: string },
): MirrorTable {
  const location = place(mirror.location, file)
  if (location === '') throw wrong(file, `a [[registry.mirror]] of '${prefix}' has no location`)
  const byDigest = table['mirror-by-digest-only']
  if (byDigest && mirror['pull-from-mirror'] !== '') {
    throw wrong(
      file,
      `'${prefix}' has mirror-by-digest-only, and its mirror '${location}' pull-from-mirror; one must go`,
    )
  }
  const pulls = byDigest ? 'digest-only' : mirror['pull-from-mirror'] || 'all'
  return { location, insecure: mirror.insecure, proxy: proxyOf(mirror.proxy, file), pulls }
}

/** The beginning of an image's name. */
function place(text: string, file: string): string {
  if (/^https?:\/\//.test(text)) throw wrong(file, `'${text}' is an address; write it without http:// or https://`)
  return text.replace(/\/+$/, '')
}

function proxyOf(text: string, file: string): URL | undefined {
  if (text === '') return undefined
  const proxy = parseProxy(text)
  if (proxy === undefined) throw wrong(file, 'proxy is not the address of an HTTP proxy, as http://HOST:PORT is')
  return proxy
}

/** One place must not be safe under one prefix and unsafe under another. */
function checkConflicts(tables: readonly RegistryTable[], file: string): void {
  const seen = new Map<string, RegistryTable>()
  for (const table of tables) {
    const key = table.location || table.prefix
    const other = seen.get(key) ?? table
    const conflict = (['insecure', 'blocked'] as const).find((name) => table[name] !== other[name])
    if (conflict !== undefined) throw wrong(file, `'${key}' comes twice, once with and once without ${conflict}`)
    seen.set(key, table)
  }
}

function searchRegistry(text: string, file: string): string {
  const host = place(text, file)
  if (!host.includes('/') && host !== '' && isReference(`${host}/a`)) return host
  throw wrong(file, `unqualified-search-registries: '${text}' is not a host with an optional port`)
}

function alias(name: string, { target, file }: { target: string; file: string }): Alias {
  if (/[@:]/.test(name) || !isReference(name) || !isShortName(name)) {
    throw wrong(file, `aliases: '${name}' is not a short name; it has a registry, a tag or a digest, or is malformed`)
  }
  if (target === '') return { file, target: undefined }
  const hasTag = target.includes('@') || target.includes(':', target.lastIndexOf('/'))
  if (hasTag || !isReference(target) || isShortName(target)) {
    throw wrong(file, `aliases: '${target}' is not a full name without tag and digest, as quay.io/coreos/etcd is`)
  }
  return { file, target: parseReference(target) }
}

function isReference(text: string): boolean {
  try {
    parseReference(text)
    return true
  } catch (error) {
    if (error instanceof ForerunError) return false
    throw error
  }
}

function wrong(where: string, what: string, cause?: unknown): ForerunError {
  return new ForerunError('settings', `${where}: ${what}`, {
    hint: `Mend ${where}; see containers-registries.conf(5).`,
    cause,
  })
}
