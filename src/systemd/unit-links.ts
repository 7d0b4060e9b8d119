import { readlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { entriesIn } from '../host/folder-entries.ts'

/**
 * The symbolic links that lead to a unit's file, as enabling it makes them: among the unit files, and in their `*.wants`,
 * `*.requires` and `*.upholds` (systemctl(1), "enable"). In the order of their paths. A link of the same name that leads
 * elsewhere belongs to another unit's file.
 *
 * @param unitFile its absolute path; it need not exist any more.
 */
export function linksTo(unitFile: string): string[] {
  const folder = dirname(unitFile)
  const dependencies = entriesIn(folder).filter(
    (entry) => entry.isDirectory() && /\.(?:wants|requires|upholds)$/.test(entry.name),
  )
  return [folder, ...dependencies.map(({ name }) => join(folder, name))]
    .flatMap((path) => entriesIn(path).filter((entry) => entry.isSymbolicLink()))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => resolve(dirname(path), readlinkSync(path)) === unitFile)
    .sort()
}
