import { join } from 'node:path'
import { comparePrivileges, type PrivilegeDifference } from '../../bundle/compare-privileges.ts'
import type { Privilege } from '../../bundle/privilege.ts'
import { servicePrivileges } from '../../bundle/privileges.ts'
import { readRenderedConfiguration } from '../../bundle/runtime-configuration.ts'
import { ForerunError } from '../../errors.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import type { Deployment, DeploymentInfo } from '../../store/deployment.ts'
import { type DeploymentPlan, tmpfilesCopy } from './deployment-plan.ts'

/**
 * What an installed deployment may do beyond its own files, by the configuration, the unit and the tmpfiles.d lines in its folder. Its
 * host files are told by `hostFileViews`.
 *
 * @throws ForerunError `configuration`, `store` when they are damaged or missing.
 */
export function deploymentPrivileges({ name, folder, info }: Deployment): Privilege[] {
  if (!info['has-container-service']) return []
  const file = join(folder, 'config.json')
  return servicePrivileges({
    name,
    folder,
    runtime: info.runtime,
    configuration: readRenderedConfiguration(requireText(file), file),
    unit: requireText(join(folder, `${name}.service`)),
    tmpfiles: readWhenPresent(tmpfilesCopy(name, folder))?.toString(),
    secrets: givenSecrets(info),
  })
}

/** The same of one that is planned. */
export function plannedPrivileges({
  name,
  folder,
  bundle: { service },
  info,
}: Pick<DeploymentPlan, 'name' | 'folder' | 'bundle' | 'info'>): Privilege[] {
  if (service === undefined) return []
  return servicePrivileges({ ...service, name, folder, runtime: info.runtime, secrets: givenSecrets(info) })
}

/** What a next deployment may do that the one before could not, and the reverse. */
export function privilegeDifference(plan: DeploymentPlan, before: Deployment): PrivilegeDifference {
  return comparePrivileges(deploymentPrivileges(before), plannedPrivileges(plan))
}

function givenSecrets({ values, forerun }: DeploymentInfo): Map<string, string> {
  const { secrets = [], set = [] } = forerun
  return new Map(secrets.filter((name) => set.includes(name)).map((name) => [name, values[name] ?? '']))
}

function requireText(file: string): string {
  const content = readWhenPresent(file)
  if (content !== undefined) return content.toString()
  throw new ForerunError('store', `the file '${file}' is missing`, {
    hint: 'Put it back from a backup, or install the container anew.',
  })
}
