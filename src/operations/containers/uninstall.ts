import type { Deployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut } from '../trials.ts'
import { wholeDeparture } from './departure.ts'
import { hostView } from './host-view.ts'
import { requireDeployment } from './service.ts'
import { transitionChanges } from './transition.ts'

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
  using _lock = await lockHost(`uninstall ${name}`, context, [name])
  return await uninstallDeployment(requireDeployment(name, context), context)
}

/** As `uninstall`, for a caller that holds the lock. */
export async function uninstallDeployment(deployment: Deployment, context: Context): Promise<UninstallResult> {
  const { name } = deployment
  const from = await wholeDeparture(deployment, context)
  const { changes, kept } = transitionChanges({ from }, hostView(name, context))
  for (const path of kept) {
    context.emit({ type: 'notice', message: `Will not delete ${path} as it was manually modified.` })
  }
  await carryOut({ title: `uninstall ${name}`, containers: [name] }, changes, { trial: undefined, context })
  return { name, kept }
}
