import { readFileSync } from 'node:fs'
import { ForerunError } from '../../../errors.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import type { ContainersPlace } from './containers-folders.ts'
import { registriesConfFiles, shortNameCacheFile } from './registries-conf-files.ts'
import {
  type Alias,
  parseRegistriesConf,
  type RegistriesConfFile,
  type RegistryTable,
  type ShortNameMode,
} from './registries-conf-format.ts'

/** What the containers tools are told about registries: containers-registries.conf(5), version 2. */
export interface RegistriesConf {
  /** One for each prefix. */
  readonly registries: readonly RegistryTable[]
  /** `unqualified-search-registries`, and the file that says so; undefined when none does. */
  readonly search: { readonly registries: readonly string[]; readonly file: string } | undefined
  readonly shortNameMode: ShortNameMode
  /** By short name. */
  readonly aliases: ReadonlyMap<string, Alias>
  /** Where to look for credentials, in order; `containers-auth.json` stands for the files of that name. */
  readonly credentialHelpers: readonly string[]
}

/**
 * Reads registries.conf, its drop-ins, and the short names that other tools have recorded, as the containers tools do:
 * what comes later wins, `[[registry]]` by prefix and aliases by name, everything else as a whole. Unknown keys are
 * left to the tools that know them.
 *
 * @throws ForerunError `settings` for a file that cannot be read, is not TOML (with the line), is of version 1, or says
 *   something that has no meaning.
 */
export function readRegistriesConf(place: ContainersPlace = {}): RegistriesConf {
  const registries = new Map<string, RegistryTable>()
  const aliases = new Map<string, Alias>()
  let search: RegistriesConf['search']
  let shortNameMode: ShortNameMode = 'permissive'
  let credentialHelpers: readonly string[] = []
  for (const file of registriesConfFiles(place)) {
    const found = readFile(file)
    for (const table of found.registries) registries.set(table.prefix, table)
    for (const [name, alias] of found.aliases) aliases.set(name, alias)
    if (found.search !== undefined) search = { registries: found.search, file }
    shortNameMode = found.shortNameMode ?? shortNameMode
    credentialHelpers = found.credentialHelpers ?? credentialHelpers
  }
  // What somebody chose when Podman asked goes before what the files say.
  const recorded = shortNameCacheFile(place)
  if (recorded !== undefined) for (const [name, alias] of readFile(recorded).aliases) aliases.set(name, alias)
  if (credentialHelpers.length === 0) credentialHelpers = ['containers-auth.json']
  return { registries: [...registries.values()], search, shortNameMode, aliases, credentialHelpers }
}

function readFile(file: string): RegistriesConfFile {
  try {
    requireRootOnly(file, 'settings')
    return parseRegistriesConf(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if (cause instanceof ForerunError) throw cause
    const { message } = cause as NodeJS.ErrnoException
    throw new ForerunError('settings', `cannot read ${file}: ${message}`, { hint: `Mend ${file}.`, cause })
  }
}
