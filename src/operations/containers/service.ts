import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import { runAttached } from '../../host/run.ts'
import { atomicCheckouts, surveyAtomicContainers } from '../../store/atomic-containers.ts'
import { type Deployment, readDeployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { bringUp } from '../judge.ts'
import { runInFreshContainer } from './run-stopped.ts'
import { findRuntime } from './runtime.ts'

/** A container that has been installed. @throws ForerunError `container-not-found`. */
export function requireDeployment(name: string, context: Context): Deployment {
  const deployment = readDeployment(context.paths.containers, name)
  if (deployment !== undefined) return deployment
  throw new ForerunError('container-not-found', `there is no container '${name}'`, {
    hint: isOfAtomic(name, context)
      ? `Project Atomic's tool has one. Take it over first: forerun containers adopt ${name}`
      : 'List them with: forerun containers list --all',
  })
}

function isOfAtomic(name: string, { paths }: Context): boolean {
  const found = surveyAtomicContainers(atomicCheckouts(paths.atomicSettings), paths.containers)
  return found.some((each) => each.name === name)
}

/** Starts the service of a container, waits until systemd calls it started, and sees that it stays up. */
export async function startContainer(name: string, context: Context): Promise<void> {
  const unit = serviceOf(name, context)
  const { settle } = context.settings.service
  await bringUp({ unit, settle, dependants: [] }, async () => (await context.manager()).start(unit), context)
}

/** Stops the service of a container and waits until it has ended. */
export async function stopContainer(name: string, context: Context): Promise<void> {
  const unit = serviceOf(name, context)
  await (await context.manager()).stop(unit)
}

/**
 * Runs a command in a running container, with the terminal of this process where there is one; where the service is stopped, in a
 * container for this command alone, of the same bundle.
 *
 * @param options.runtime in place of that of the deployment.
 * @returns its exit status.
 * @throws ForerunError `container-not-found`; `systemd` for a service that is just starting or stopping; `runtime`; as `runOneOff`.
 */
export async function runInContainer(
  name: string,
  words: readonly string[],
  options: { runtime: string | undefined; context: Context },
): Promise<number> {
  const { context } = options
  const unit = serviceOf(name, context)
  const deployment = requireDeployment(name, context)
  const runtime = findRuntime(options.runtime ?? deployment.info.runtime)
  const { activeState } = await (await context.manager()).status(unit)
  if (activeState === 'inactive' || activeState === 'failed') {
    return await runInFreshContainer(deployment, words, { runtime, context })
  }
  if (activeState !== 'active' && activeState !== 'reloading') {
    throw new ForerunError('systemd', `${name} neither runs nor is stopped (${activeState})`, {
      hint: `Wait for it: systemctl status ${unit}`,
    })
  }
  const terminal = process.stdin.isTTY && process.stdout.isTTY ? ['--tty'] : []
  return await runAttached(runtime, ['exec', ...terminal, name, ...words])
}

/** Shows the journal of a container's unit. @param words options of journalctl(1). @returns its exit status. */
export async function showLogs(name: string, words: readonly string[], context: Context): Promise<number> {
  return await runAttached('journalctl', [`--unit=${serviceOf(name, context)}`, ...words])
}

function serviceOf(name: string, context: Context): string {
  const { info } = requireDeployment(name, context)
  if (info['has-container-service']) return unitName(name)
  throw new ForerunError('container-not-found', `'${name}' only installs files and has no service`, {
    hint: 'There is nothing to start or stop.',
  })
}
