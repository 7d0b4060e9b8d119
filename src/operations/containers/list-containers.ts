import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { unitName } from '../../host/paths.ts'
import { type Deployment, surveyDeployments } from '../../store/deployment.ts'
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

/** All containers, running or not, by name. One whose deployment is damaged is told of in a notice. */
export async function listContainers(context: Context): Promise<ContainerRow[]> {
  const found = surveyDeployments(context.paths.containers)
  const deployments = found.flatMap((each) => ('info' in each ? each : []))
  for (const damaged of found) {
    if ('problem' in damaged) context.emit({ type: 'notice', message: `${damaged.name}: ${damaged.problem.message}` })
  }
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
  const configuration = configurationIn(folder)
  const args = v.safeParse(v.object({ process: v.object({ args: v.array(v.string()) }) }), configuration)
  return args.success ? args.output.process.args.join(' ') : ''
}

/** undefined where it is damaged, or has been removed by now. */
function configurationIn(folder: string): unknown {
  try {
    return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function state({ info }: Deployment, activeState: string | undefined): ContainerState {
  if (!info['has-container-service']) return 'no service'
  if (activeState === 'active' || activeState === 'activating' || activeState === 'reloading') return 'running'
  return activeState === 'failed' ? 'failed' : 'inactive'
}
