import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import { type Deployment, readDeployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { startService } from '../start-service.ts'

/** A container that has been installed. @throws ForerunError `container-not-found`. */
export function requireDeployment(name: string, context: Context): Deployment {
  const deployment = readDeployment(context.paths.containers, name)
  if (deployment !== undefined) return deployment
  throw new ForerunError('container-not-found', `there is no container '${name}'`, {
    hint: 'List them with: forerun containers list --all',
  })
}

/** Starts the service of a container, waits until systemd calls it started, and sees that it stays up. */
export async function startContainer(name: string, context: Context): Promise<void> {
  await startService(serviceOf(name, context), context)
}

/** Stops the service of a container and waits until it has ended. */
export async function stopContainer(name: string, context: Context): Promise<void> {
  const unit = serviceOf(name, context)
  await (await context.manager()).stop(unit)
}

function serviceOf(name: string, context: Context): string {
  const { info } = requireDeployment(name, context)
  if (info['has-container-service']) return unitName(name)
  throw new ForerunError('container-not-found', `'${name}' only installs files and has no service`, {
    hint: 'There is nothing to start or stop.',
  })
}
