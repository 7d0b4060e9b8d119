import { join } from 'node:path'
import { unitName, unitPath } from '../../host/paths.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import { type Deployment, deploymentFolders, readInfo } from '../../store/deployment.ts'
import { linksTo } from '../../systemd/enablement.ts'
import { applyChanges } from '../../transaction/transaction.ts'
import { changeHost } from '../change-host.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { hostView } from './host-view.ts'
import { placedFiles } from './placed-files.ts'
import { requireDeployment } from './service.ts'
import { type Departure, departureChanges } from './transition.ts'

export interface UninstallResult {
  readonly name: string
  /** Files on the host that were installed and are kept, because they have been modified since. */
  readonly kept: readonly string[]
}

/**
 * Stops and disables the unit of a container and removes all that installing brought, with the exception of modified
 * host files, of what other containers brought, too, and of directories that hold something. All or nothing.
 *
 * @throws ForerunError `container-not-found`.
 */
export async function uninstall(name: string, context: Context): Promise<UninstallResult> {
  using _lock = await lockHost(`uninstall ${name}`, context)
  return await uninstallDeployment(requireDeployment(name, context), context)
}

/** As `uninstall`, for a caller that holds the lock. */
export async function uninstallDeployment(deployment: Deployment, context: Context): Promise<UninstallResult> {
  const { name } = deployment
  if (deployment.info['has-container-service']) await context.manager()
  const { changes, kept } = departureChanges(departureOf(deployment, context), hostView(name, context))
  for (const path of kept) {
    context.emit({ type: 'notice', message: `Will not delete ${path} as it was manually modified.` })
  }
  await applyChanges({ title: `uninstall ${name}`, containers: [name] }, changes, {
    journal: context.paths.journal,
    host: changeHost(context),
    signal: context.signal,
  })
  return { name, kept }
}

function departureOf({ name, folder, info }: Deployment, { paths }: Context): Departure {
  const folders = deploymentFolders(paths.containers, name)
  const slots = folders.map((slot) => ({ name, info: readInfo(slot) }))
  const files = new Map(slots.flatMap((slot) => placedFiles(slot, paths).map((file) => [file.path, file])))
  // What is in use counts where both slots had a file at one place.
  for (const file of placedFiles({ name, info }, paths)) files.set(file.path, file)
  const service = {
    unit: unitName(name),
    container: { name, runtime: info.runtime },
    mountUnits: slots.flatMap((slot) => slot.info.forerun.overlay?.['mount-unit'] ?? []),
    tmpfiles: readWhenPresent(join(folder, `tmpfiles-${name}.conf`))?.toString() ?? '',
    links: linksTo(unitPath(paths, name)),
  }
  return {
    name,
    folders,
    files: [...files.values()],
    made: info.forerun['tmpfiles-made'],
    service: info['has-container-service'] ? service : undefined,
  }
}
