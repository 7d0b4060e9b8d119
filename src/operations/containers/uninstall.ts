import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { dropInPath, tmpfilesPath, unitFilePath, unitName, unitPath } from '../../host/paths.ts'
import { type Deployment, deploymentFolders, readInfo } from '../../store/deployment.ts'
import type { Change } from '../../transaction/change.ts'
import { isPresent, removeEmpty, removeFile, rename } from '../../transaction/files.ts'
import { applyChanges } from '../../transaction/transaction.ts'
import { disable, reload, removeTmpfiles, stop, unmount } from '../../transaction/units.ts'
import { changeHost } from '../change-host.ts'
import type { Context } from '../context.ts'
import { lockHost, unfinishedPrefix } from '../lock-host.ts'
import { sortInstalledFiles } from './installed-files.ts'
import { requireDeployment } from './service.ts'

export interface UninstallResult {
  readonly name: string
  /** Files on the host that were installed and are kept, because they have been modified since. */
  readonly kept: readonly string[]
}

/**
 * Stops and disables the unit of a container and removes all that installing brought, with the exception of modified
 * host files and of directories that hold something. All or nothing.
 *
 * @throws ForerunError `container-not-found`.
 */
export async function uninstall(name: string, context: Context): Promise<UninstallResult> {
  using _lock = await lockHost(context)
  return await uninstallDeployment(requireDeployment(name, context), context)
}

/** As `uninstall`, for a caller that holds the lock. */
export async function uninstallDeployment(deployment: Deployment, context: Context): Promise<UninstallResult> {
  const { name } = deployment
  if (deployment.info['has-container-service']) await context.manager()
  const files = sortInstalledFiles(deployment.info)
  for (const path of files.modified) {
    context.emit({ type: 'notice', message: `Will not delete ${path} as it was manually modified.` })
  }
  await applyChanges(`uninstall ${name}`, uninstallChanges(deployment, files.unmodified, context), {
    journal: context.paths.journal,
    host: changeHost(context),
    signal: context.signal,
  })
  return { name, kept: files.modified }
}

/**
 * The unit is disabled before it is stopped: a unit that its `[Install]` section made depend on it, as docker may on
 * flannel, then no longer does, and goes on running.
 */
function uninstallChanges(deployment: Deployment, hostFiles: readonly string[], context: Context): Change[] {
  const { paths } = context
  const { name, info } = deployment
  const unit = unitName(name)
  const container = { name, runtime: info.runtime }
  const service = info['has-container-service']
  const folders = deploymentFolders(paths.containers, name)
  const mountUnits = folders.flatMap((folder) => readInfo(folder).forerun.overlay?.['mount-unit'] ?? [])
  const unitFiles = [
    unitPath(paths, name),
    dropInPath(paths, name),
    tmpfilesPath(paths, name),
    ...mountUnits.map((mountUnit) => unitFilePath(paths, mountUnit)),
  ]
  const made = info.forerun
  return [
    ...(service ? [reload('undone'), disable(unit, container), reload('applied'), stop(unit, container)] : []),
    ...mountUnits.map(unmount),
    ...(service ? [removeTmpfiles(join(deployment.folder, `tmpfiles-${name}.conf`))] : []),
    ...unitFiles.filter((path) => service && isPresent(path)).map(removeFile),
    ...hostFiles.map(removeFile),
    removeFile(join(paths.containers, name)),
    ...folders.map(discard),
    removeEmpty([...made.directories, ...made['tmpfiles-made'], dirname(dropInPath(paths, name))]),
    ...(service ? [reload('applied')] : []),
  ]
}

function discard(folder: string): Change {
  const trash = `${unfinishedPrefix}${basename(folder)}-${randomBytes(6).toString('hex')}`
  return rename(folder, join(dirname(folder), trash), { discard: true })
}
