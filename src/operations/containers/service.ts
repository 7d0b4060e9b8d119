import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import { runAttached } from '../../host/run.ts'
import { atomicCheckouts, surveyAtomicContainers } from '../../store/atomic-containers.ts'
import { type Deployment, readDeployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { bringUp } from '../judge.ts'

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
 * Runs a command in a running container, with the terminal of this process where there is one.
 *
 * @returns its exit status.
 * @throws ForerunError `container-not-found`; `systemd` for one that does not run.
 */
export async function runInContainer(name: string, words: readonly string[], context: Context): Promise<number> {
  const unit = serviceOf(name, context)
  const { runtime } = requireDeployment(name, context).info
  const { activeState } = await (await context.manager()).status(unit)
  if (activeState !== 'active' && activeState !== 'reloading') {
    throw new ForerunError('systemd', `${name} does not run (${activeState})`, {
      hint: `Start it first: forerun run ${name}`,
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
