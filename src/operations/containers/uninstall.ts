import type { Deployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut } from '../trials.ts'
import { wholeDeparture } from './departure.ts'
import { hostView } from './host-view.ts'
import { requireDeployment } from './service.ts'
import { type Transition, transitionsChanges } from './transition.ts'

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
  const title = `uninstall ${name}`
  using _lock = await lockHost(title, context, [name])
  const [result] = await uninstallDeployments([requireDeployment(name, context)], title, context)
  return result as UninstallResult
}

/** As `uninstall`, of several containers together, for a caller that holds the lock. */
export async function uninstallDeployments(
  deployments: readonly Deployment[],
  title: string,
  context: Context,
): Promise<UninstallResult[]> {
  const names = deployments.map(({ name }) => name)
  const transitions: Transition[] = []
  for (const deployment of deployments) transitions.push({ from: await wholeDeparture(deployment, context) })
  const { changes, plans } = transitionsChanges(transitions, hostView(names, context))
  for (const path of new Set(plans.flatMap(({ kept }) => kept))) {
    context.emit({ type: 'notice', message: `Will not delete ${path} as it was manually modified.` })
  }
  await carryOut({ title, containers: names }, changes, { trial: undefined, context })
  return names.map((name, index) => ({ name, kept: plans[index]?.kept ?? [] }))
}
