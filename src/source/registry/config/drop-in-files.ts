import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../../../errors.ts'
import { type ContainersPlace, dropInFolders } from './containers-folders.ts'

/**
 * The drop-ins of the containers tools that there are, of all folders, by their names; of one name the first folder's counts.
 *
 * @param options.folders as for `dropInFolders`. `extension` is that of the files.
 * @throws ForerunError `settings` when a folder cannot be read.
 */
export function dropInFiles(
  place: ContainersPlace,
  { extension, ...folders }: { name: string; suffix: string; extension: string },
): string[] {
  const files = new Map<string, string>()
  for (const folder of dropInFolders(place, folders)) {
    for (const name of fileNames(folder)) {
      if (name.endsWith(extension) && !files.has(name)) files.set(name, join(folder, name))
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
