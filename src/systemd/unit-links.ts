import type { Dirent } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface UnitLink {
  readonly path: string
  /** As it stands in the link, not resolved. */
  readonly target: string
}

/**
 * The symbolic links that enable a unit: in the directory of unit files and in its `*.wants`, `*.requires` and `*.upholds`,
 * those of the unit's own name and, as aliases are, those that lead to a file of that name (systemctl(1), "enable"). In
 * the order of their paths; none when there is no such directory.
 */
export async function unitLinks(unit: string, searchDir = '/etc/systemd/system'): Promise<UnitLink[]> {
  const entries = await directory(searchDir)
  const dependencies = entries.filter(
    (entry) => entry.isDirectory() && /\.(?:wants|requires|upholds)$/.test(entry.name),
  )
  const further = await Promise.all(dependencies.map((entry) => directory(join(searchDir, entry.name))))
  const candidates = [...entries, ...further.flat()].filter((entry) => entry.isSymbolicLink())
  const links = await Promise.all(candidates.map(link))
  return links
    .filter(({ path, target }) => basename(path) === unit || basename(target) === unit)
    .sort((one, other) => (one.path < other.path ? -1 : 1))
}

async function directory(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function link(entry: Dirent): Promise<UnitLink> {
  const path = join(entry.parentPath, entry.name)
  return { path, target: await readlink(path) }
}
