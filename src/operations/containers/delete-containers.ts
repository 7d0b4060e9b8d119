import { ForerunError } from '../../errors.ts'
import { containerNames, readDeployments } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { requireDeployment } from './service.ts'
import { type UninstallResult, uninstallDeployments } from './uninstall.ts'

/**
 * Uninstalls containers, all or none.
 *
 * @throws ForerunError `usage` without names and without `all`, or for `all` without `force`; `container-not-found`.
 */
export async function deleteContainers(
  names: readonly string[],
  options: { all: boolean; force: boolean },
  context: Context,
): Promise<UninstallResult[]> {
  if (options.all && !options.force) {
    throw new ForerunError('usage', 'deleting all containers needs --force', {
      hint: 'forerun containers delete --all --force',
    })
  }
  if (options.all === names.length > 0) {
    throw new ForerunError('usage', 'name the containers to delete, or give --all', {
      hint: 'forerun containers delete NAME...',
    })
  }
  const wanted = options.all ? containerNames(context.paths.containers) : names
  const title = ['containers delete', ...names].join(' ')
  using _lock = await lockHost(title, context, wanted)
  const deployments = options.all
    ? readDeployments(context.paths.containers)
    : [...new Set(names)].map((name) => requireDeployment(name, context))
  return await uninstallDeployments(deployments, title, context)
}
