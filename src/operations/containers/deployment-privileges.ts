import { join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import { comparePrivileges, type PrivilegeDifference } from '../../bundle/compare-privileges.ts'
import type { Privilege } from '../../bundle/privilege.ts'
import { servicePrivileges } from '../../bundle/privileges.ts'
import { readRenderedConfiguration } from '../../bundle/runtime-configuration.ts'
import { ForerunError } from '../../errors.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import type { Deployment, DeploymentInfo } from '../../store/deployment.ts'
import type { DeploymentWish } from './deployment-bundle.ts'
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
export function plannedPrivileges({ name, folder, bundle, info }: DeploymentPlan): Privilege[] {
  return privilegesOf(bundle, { name, folder, runtime: info.runtime, set: info.forerun.set ?? [] })
}

/** The same of a bundle that is only shown. */
export function bundlePrivileges(bundle: Bundle, { name, folder, runtime, given }: DeploymentWish): Privilege[] {
  return privilegesOf(bundle, { name, folder, runtime, set: [...given.assignments.keys()] })
}

/** What a next deployment may do that the one before could not, and the reverse. */
export function privilegeDifference(plan: DeploymentPlan, before: Deployment): PrivilegeDifference {
  return comparePrivileges(deploymentPrivileges(before), plannedPrivileges(plan))
}

function privilegesOf(
  { service, secrets, values }: Bundle,
  deployment: { name: string; folder: string; runtime: string; set: readonly string[] },
): Privilege[] {
  if (service === undefined) return []
  const given = new Map(secretsGiven(secrets, deployment.set).map((name) => [name, values.get(name) ?? '']))
  return servicePrivileges({ ...service, ...deployment, secrets: given })
}

function givenSecrets({ values, forerun }: DeploymentInfo): Map<string, string> {
  const names = secretsGiven(forerun.secrets ?? [], forerun.set ?? [])
  return new Map(names.map((name) => [name, values[name] ?? '']))
}

/** An image could hide a command in a secret of its own. */
function secretsGiven(secrets: readonly string[], set: readonly string[]): string[] {
  return secrets.filter((name) => set.includes(name))
}

function requireText(file: string): string {
  const content = readWhenPresent(file)
  if (content !== undefined) return content.toString()
  throw new ForerunError('store', `the file '${file}' is missing`, {
    hint: 'Put it back from a backup, or install the container anew.',
  })
}
