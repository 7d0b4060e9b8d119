import { existsSync, mkdirSync, realpathSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { renderRecoveryUnit } from '../bundle/recovery-unit.ts'
import { syncDirectory, writeFileDurably } from '../host/durable-file.ts'
import type { HostPaths } from '../host/paths.ts'

const unit = 'forerun-recover.service'

/**
 * Has the next boot end what is in the journals: `forerun recover` then runs once the services are up. systemd reads it when it
 * boots, and need not now.
 */
export function armBootRecovery(paths: HostPaths): void {
  const path = join(paths.units, unit)
  writeFileDurably(path, renderRecoveryUnit({ journal: paths.journal, program: ownProgram() }))
  for (const link of linksOf(paths)) {
    mkdirSync(dirname(link), { recursive: true })
    rmSync(link, { force: true })
    symlinkSync(`../${unit}`, link)
    syncDirectory(dirname(link))
  }
  syncDirectory(paths.units)
}

/** Boots have nothing to do any more, also after a power cut at once. May be repeated. */
export function disarmBootRecovery(paths: HostPaths): void {
  if (!existsSync(join(paths.units, unit))) return
  for (const link of linksOf(paths)) {
    rmSync(link, { force: true })
    removeIfEmpty(dirname(link))
    if (existsSync(dirname(link))) syncDirectory(dirname(link))
  }
  // The unit goes last: while it is there, links may be.
  rmSync(join(paths.units, unit), { force: true })
  syncDirectory(paths.units)
}

/** A boot wants it; one that is assessed requires it (systemd.special(7), `boot-complete.target`). */
function linksOf({ units }: HostPaths): string[] {
  return ['default.target.wants', 'boot-complete.target.requires'].map((folder) => join(units, folder, unit))
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** How this program is started: by the launcher that lies beside it in the archive, or by the Node that runs it. */
function ownProgram(): string[] {
  const script = realpathSync(process.argv[1] ?? '')
  const launcher = join(dirname(script), 'forerun')
  return existsSync(launcher) ? [launcher] : [process.execPath, ...process.execArgv, script]
}
