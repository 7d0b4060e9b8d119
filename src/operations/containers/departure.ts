import { unitName, unitPath } from '../../host/paths.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import { type Deployment, deploymentFolders, keptRoot, readInfo } from '../../store/deployment.ts'
import { updateSettingsPath } from '../../store/update-settings.ts'
import { linksTo } from '../../systemd/enablement.ts'
import { isPresent } from '../../transaction/files.ts'
import { changeHost } from '../change-host.ts'
import type { Context } from '../context.ts'
import { placedFiles } from '../placed-files.ts'
import { tmpfilesCopy } from './deployment-plan.ts'
import type { DepartingService, Departure } from './transition.ts'

/** A container that goes, with all its deployments. */
export async function wholeDeparture(deployment: Deployment, context: Context): Promise<Departure> {
  const { paths } = context
  const { name } = deployment
  const slots = deploymentFolders(paths.containers, name).map((folder) => ({ name, folder, info: readInfo(folder) }))
  // What is in use counts where both had a file at one place.
  const files = [...slots, deployment].flatMap((slot) =>
    placedFiles(slot, paths).map((file) => [file.path, file] as const),
  )
  const updateSettings = updateSettingsPath(paths.containers, name)
  return {
    ...(await departure(deployment, { slots, files: [...new Map(files).values()], context })),
    updateSettings: isPresent(updateSettings) ? updateSettings : undefined,
  }
}

/** A deployment that another one of its container follows. */
export async function singleDeparture(deployment: Deployment, context: Context): Promise<Departure> {
  return departure(deployment, { slots: [deployment], files: placedFiles(deployment, context.paths), context })
}

async function departure(
  { name, folder, info }: Deployment,
  { slots, files, context }: { slots: readonly Deployment[]; files: Departure['files']; context: Context },
): Promise<Departure> {
  const { paths } = context
  const service = async (): Promise<DepartingService> => ({
    unit: unitName(name),
    container: { name, runtime: info.runtime },
    mountUnits: slots.flatMap((slot) => slot.info.forerun.overlay?.['mount-unit'] ?? []),
    tmpfiles: readWhenPresent(tmpfilesCopy(name, folder))?.toString() ?? '',
    links: linksTo(unitPath(paths, name)),
    active: await changeHost(context).isActive(unitName(name)),
    keptRoot: keptRoot({ folder, info }),
  })
  return {
    name,
    folder,
    folders: deploymentFolders(paths.containers, name),
    files,
    made: [...new Set(slots.flatMap((slot) => slot.info.forerun['tmpfiles-made']))],
    service: info['has-container-service'] ? await service() : undefined,
  }
}
