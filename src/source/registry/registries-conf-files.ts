import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { type ContainersPlace, containersFolders, dropInFolders } from './containers-folders.ts'

/**
 * The files of containers-registries.conf(5) that there are, in the order in which they are read: one main file (the user's, else
 * that of `/etc`, else that of `/usr/share`), then the drop-ins of all folders by their names; of one name the first
 * folder's counts. `CONTAINERS_REGISTRIES_CONF` stands in place of all these, `CONTAINERS_REGISTRIES_CONF_OVERRIDE` comes last.
 *
 * @throws ForerunError `settings` when one that the environment names is not there, or a folder cannot be read.
 */
export function registriesConfFiles(place: ContainersPlace): string[] {
  const only = namedFile(place, 'CONTAINERS_REGISTRIES_CONF')
  const last = namedFile(place, 'CONTAINERS_REGISTRIES_CONF_OVERRIDE')
  if (only.length > 0) return [...only, ...last]
  const main = containersFolders(place)
    .map((folder) => join(folder, 'registries.conf'))
    .filter((file) => existsSync(file))
  return [...main.slice(0, 1), ...dropIns(place), ...last]
}

/** The file in which Podman records the short names that somebody chose, if there is one. */
export function shortNameCacheFile(place: ContainersPlace): string | undefined {
  const { root = '/', environment = process.env, uid = process.getuid?.() ?? 0 } = place
  const home = environment.XDG_CACHE_HOME || (environment.HOME && join(environment.HOME, '.cache'))
  const cache = uid === 0 ? join(root, 'var/cache') : home
  const file = cache ? join(cache, 'containers/short-name-aliases.conf') : undefined
  return file !== undefined && existsSync(file) ? file : undefined
}

function namedFile({ environment = process.env }: ContainersPlace, variable: string): string[] {
  const file = environment[variable]
  if (!file) return []
  if (existsSync(file)) return [file]
  throw new ForerunError('settings', `${variable} names ${file}, which is not there`, {
    hint: `Mend or unset ${variable}.`,
  })
}

function dropIns(place: ContainersPlace): string[] {
  const files = new Map<string, string>()
  for (const folder of dropInFolders(place, { name: 'registries', suffix: '.conf.d' })) {
    for (const name of fileNames(folder)) {
      if (name.endsWith('.conf') && !files.has(name)) files.set(name, join(folder, name))
    }
  }
  return [...files.keys()].sort().flatMap((name) => files.get(name) ?? [])
}

function fileNames(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw new ForerunError('settings', `cannot read ${folder}: ${message}`, { hint: `Mend ${folder}.`, cause })
  }
}
