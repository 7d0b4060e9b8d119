import { posix } from 'node:path'
import { isBindMount } from './bind-mount.ts'
import type { KindAt } from './installed-kind.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'
import { parseUnit } from './unit-file.ts'
import { withoutVarRun } from './var-run.ts'

/**
 * Sources of bind mounts that will not be there: neither are they once the image is installed, nor does the unit make them
 * (`RuntimeDirectory=` and its like). A runtime refuses to start without them.
 *
 * @param kind what will lie at a path; see `installedKind`.
 */
export function absentSources(
  { mounts = [] }: RuntimeConfiguration,
  { unit, kind }: { unit: string; kind: KindAt },
): string[] {
  const made = unitFolders(unit)
  const isMade = (path: string): boolean => made.some((each) => each === path || each.startsWith(`${path}/`))
  const paths = mounts.filter(isBindMount).flatMap(({ source }) => (source?.startsWith('/') ? [source] : []))
  const absent = paths.map((path) => posix.resolve(path)).filter((path) => kind(path) === undefined)
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
