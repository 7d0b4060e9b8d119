import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { ForerunError } from '../errors.ts'
import { entriesIn } from '../host/folder-entries.ts'
import { run } from '../host/run.ts'

/** A symbolic link that enables a unit, or gives it another name. */
export interface UnitLink {
  readonly path: string
  /** As it stands in the link, not resolved. */
  readonly target: string
}

/**
 * The links that enabling a unit makes, by `systemctl enable` itself in a folder of its own: the host is not touched. None
 * for a unit without an `[Install]` section.
 *
 * @param files texts of the unit and of those that its `Also=` names, by their paths on the host.
 * @throws ForerunError `unit` for what systemd refuses, `interrupted`.
 */
export async function enablementLinks(
  unit: string,
  files: ReadonlyMap<string, string>,
  { signal }: { signal: AbortSignal },
): Promise<UnitLink[]> {
  const root = mkdtempSync('/run/forerun-enable-')
  try {
    for (const [path, text] of files) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    const { status, stderr } = await run('systemctl', ['--root', root, 'enable', unit], { signal, timeout: 60_000 })
    if (status !== 0) throw refused(unit, stderr)
    return linksBelow(root)
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** Whether a folder of unit files makes the unit before its dot start what is linked in it (systemd.unit(5)). */
export function isDependencyFolder(path: string): boolean {
  return /\.(?:wants|requires|upholds)$/.test(path)
}

/**
 * The symbolic links that lead to a unit's file, as enabling it makes them: among the unit files, and in their `*.wants`,
 * `*.requires` and `*.upholds` (systemctl(1), "enable"). In the order of their paths. A link of the same name that leads
 * elsewhere belongs to another unit's file.
 *
 * @param unitFile its absolute path; it need not exist any more.
 */
export function linksTo(unitFile: string): string[] {
  const folder = dirname(unitFile)
  const dependencies = entriesIn(folder).filter((entry) => entry.isDirectory() && isDependencyFolder(entry.name))
  return [folder, ...dependencies.map(({ name }) => join(folder, name))]
    .flatMap((path) => entriesIn(path).filter((entry) => entry.isSymbolicLink()))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => resolve(dirname(path), readlinkSync(path)) === unitFile)
    .sort()
}

function linksBelow(root: string): UnitLink[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => ({ path: path.slice(root.length), target: readlinkSync(path) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

function refused(unit: string, stderr: string): ForerunError {
  const [line = 'systemctl enable fails'] = stderr.split('\n').filter((text) => text !== '')
  return new ForerunError(
    'unit',
    `systemd cannot enable ${unit}: ${line.replace(/^Failed to enable unit[^:]*: /, '')}`,
    {
      hint: "Look at the [Install] section of the image's /exports/service.template with --display.",
    },
  )
}
