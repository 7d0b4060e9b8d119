import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { unitName } from '../../host/paths.ts'
import { type Deployment, readDeployments } from '../../store/deployment.ts'
import type { Context } from '../context.ts'

/** A row of `containers list`; the keys are those that its `--filter` and `--json` know. */
export interface ContainerRow {
  readonly container: string
  readonly image: string
  /** The image's id. */
  readonly imageId: string
  readonly command: string
  /** Unix time in seconds. */
  readonly created: number
  readonly state: ContainerState
  readonly backend: 'forerun'
  readonly runtime: string
}

/** `no service`: an image that only installs files on the host. */
export type ContainerState = 'running' | 'inactive' | 'failed' | 'no service'

/** All containers, running or not, by name. */
export async function listContainers(context: Context): Promise<ContainerRow[]> {
  const deployments = readDeployments(context.paths.containers)
  const services = deployments.filter(({ info }) => info['has-container-service'])
  const units = services.map(({ name }) => unitName(name))
  const states = units.length === 0 ? new Map() : await (await context.manager()).statuses(units)
  return deployments.map((deployment) => ({
    container: deployment.name,
    image: deployment.info.image,
    imageId: deployment.info.revision,
    command: command(deployment),
    created: deployment.info.created,
    state: state(deployment, states.get(unitName(deployment.name))?.activeState),
    backend: 'forerun',
    runtime: deployment.info.runtime,
  }))
}

function command({ folder, info }: Deployment): string {
  if (!info['has-container-service']) return ''
  const configuration = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    process?: { args?: string[] }
  }
  return configuration.process?.args?.join(' ') ?? ''
}

function state({ info }: Deployment, activeState: string | undefined): ContainerState {
  if (!info['has-container-service']) return 'no service'
  if (activeState === 'active' || activeState === 'activating' || activeState === 'reloading') return 'running'
  return activeState === 'failed' ? 'failed' : 'inactive'
}
