import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from '../host/folder-entries.ts'
import { hostKind } from '../host/host-kind.ts'

/** A file that adds to a unit. */
export interface UnitDropIn {
  readonly path: string
  readonly text: string
}

/**
 * The drop-ins of the host for a service, there or not, in the order in which systemd reads them: by their names, whatever
 * their folders (systemd.unit(5)). Of those with one name, the one in the folder that comes first counts. What is no folder
 * or no file is passed over, as systemd does.
 *
 * @param folders those of units, the first with the highest priority.
 */
export function unitDropIns(unit: string, folders: readonly string[] = unitFolders): UnitDropIn[] {
  const files = new Map<string, string>()
  for (const names of dropInFolders(unit)) {
    for (const folder of folders.map((parent) => join(parent, names))) {
      if (hostKind(folder) !== 'directory') continue
      for (const name of namesIn(folder)) {
        if (name.endsWith('.conf') && !files.has(name)) files.set(name, join(folder, name))
      }
    }
  }
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .filter(([, path]) => statSync(path, { throwIfNoEntry: false })?.isFile())
    .map(([, path]) => ({ path, text: readFileSync(path, 'utf8') }))
}

/** systemd.unit(5), "System Unit Search Path". */
const unitFolders = [
  '/etc/systemd/system.control',
  '/run/systemd/system.control',
  '/run/systemd/transient',
  '/run/systemd/generator.early',
  '/etc/systemd/system',
  '/etc/systemd/system.attached',
  '/run/systemd/system',
  '/run/systemd/system.attached',
  '/run/systemd/generator',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/run/systemd/generator.late',
]

/** `a-b.service` has `a-b.service.d`, `a-.service.d` and `service.d`. */
function dropInFolders(unit: string): string[] {
  const name = unit.replace(/\.service$/, '')
  const dashes = [...name.matchAll(/-/g)].map(({ index }) => `${name.slice(0, index + 1)}.service.d`)
  return [`${unit}.d`, ...dashes.toReversed(), 'service.d']
}
