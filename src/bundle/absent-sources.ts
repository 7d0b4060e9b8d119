import { posix } from 'node:path'
import { displayPath } from '../tree/entry.ts'
import { isBindMount } from './bind-mount.ts'
import type { HostFile } from './host-files.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'
import { tmpfilesPaths } from './tmpfiles.ts'
import { parseUnit } from './unit-file.ts'

/** What an installation brings, and the host as it is before. */
export interface Sources {
  readonly unit: string
  readonly tmpfiles: string
  readonly hostFiles: readonly HostFile[]
  readonly hostKind: (path: string) => 'directory' | 'file' | undefined
}

/**
 * Sources of bind mounts that will not be there: neither are they now, nor does a host file, a tmpfiles.d line or a folder
 * of the unit (`RuntimeDirectory=` and its like) make them. A runtime refuses to start without them.
 */
export function absentSources({ mounts = [] }: RuntimeConfiguration, sources: Sources): string[] {
  const made = [
    ...sources.hostFiles.map(({ path }) => displayPath(path)),
    ...tmpfilesPaths(sources.tmpfiles),
    ...unitFolders(sources.unit),
  ].map(withoutVarRun)
  const isMade = (path: string): boolean => made.some((each) => each === path || each.startsWith(`${path}/`))
  const paths = mounts.filter(isBindMount).flatMap(({ source }) => (source?.startsWith('/') ? [source] : []))
  const absent = paths.map((path) => posix.resolve(path)).filter((path) => sources.hostKind(path) === undefined)
  return [...new Set(absent)].filter((path) => !isMade(withoutVarRun(path)))
}

/** systemd.exec(5): folders that systemd makes when the unit starts. */
function unitFolders(unit: string): string[] {
  return parseUnit(unit).flatMap(({ section, key, value }) => {
    const parent = section === 'Service' ? parents.get(key) : undefined
    if (parent === undefined) return []
    return value.split(/\s+/).flatMap((word) => (word === '' ? [] : [posix.join(parent, word.split(':')[0] ?? '')]))
  })
}

const parents = new Map([
  ['RuntimeDirectory', '/run'],
  ['StateDirectory', '/var/lib'],
  ['CacheDirectory', '/var/cache'],
  ['LogsDirectory', '/var/log'],
  ['ConfigurationDirectory', '/etc'],
])

/** A link to /run on every host of systemd. */
function withoutVarRun(path: string): string {
  return path.replace(/^\/var\/run(?=\/|$)/, '/run')
}
