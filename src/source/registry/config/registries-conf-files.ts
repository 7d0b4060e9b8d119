import { join } from 'node:path'
import { ForerunError } from '../../../errors.ts'
import { ownEnvironment } from '../../../host/own-environment.ts'
import { isAbsent } from '../../../host/read-when-present.ts'
import { type ContainersPlace, containersFolders } from './containers-folders.ts'
import { dropInFiles } from './drop-in-files.ts'

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
    .filter((file) => !isAbsent(file))
  const dropIns = dropInFiles(place, { name: 'registries', suffix: '.conf.d', extension: '.conf' })
  return [...main.slice(0, 1), ...dropIns, ...last]
}

/** The file in which Podman records the short names that somebody chose, if there is one. */
export function shortNameCacheFile(place: ContainersPlace): string | undefined {
  const { root = '/', environment = ownEnvironment(), uid = process.getuid?.() ?? 0 } = place
  const home = environment.XDG_CACHE_HOME || (environment.HOME && join(environment.HOME, '.cache'))
  const cache = uid === 0 ? join(root, 'var/cache') : home
  const file = cache ? join(cache, 'containers/short-name-aliases.conf') : undefined
  return file !== undefined && !isAbsent(file) ? file : undefined
}

function namedFile({ environment = ownEnvironment() }: ContainersPlace, variable: string): string[] {
  const file = environment[variable]
  if (!file) return []
  if (!isAbsent(file)) return [file]
  throw new ForerunError('settings', `${variable} names ${file}, which is not there`, {
    hint: `Mend or unset ${variable}.`,
  })
}
