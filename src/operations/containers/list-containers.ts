import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Settings } from '../../config/settings.ts'
import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import { formatUpdatePolicy } from '../../image/update-policy.ts'
import {
  type AtomicContainer,
  atomicCheckouts,
  type DamagedAtomicContainer,
  surveyAtomicContainers,
} from '../../store/atomic-containers.ts'
import {
  containerNames,
  type DamagedDeployment,
  type Deployment,
  isStillInUse,
  otherDeployment,
  surveyDeployment,
} from '../../store/deployment.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { UnitState } from '../../systemd/manager.ts'
import { readTrials } from '../../transaction/transaction.ts'
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
  /** Of which tool: one of Project Atomic's is not taken over yet. */
  readonly owner: 'forerun' | 'atomic'
  /**
   * Why it is in that state: what systemd says of a service that failed or is restarted; and that it is not taken over. Else empty.
   */
  readonly detail: string
  /** What the setting calls it. */
  readonly backend: Settings['output']['backend']
  readonly runtime: string
  /** What a rollback goes to. */
  readonly other: OtherDeployment | null
  /** The change that holds only if the service stays up with it: now, or after the next boot. */
  readonly trial: { readonly operation: string; readonly awaits: 'start' | 'boot' } | null
  /** Whether nothing updates it, and to which tags an update may go else. */
  readonly pinned: boolean
  readonly updatePolicy: string
}

/** A deployment that is not in use. */
export interface OtherDeployment {
  readonly folder: string
  readonly image: string
  readonly imageId: string
  readonly created: number
}

/**
 * `restarting`: it ended, and systemd waits before it starts it anew. `no service`: an image that only installs files on the
 * host. `damaged`: its deployment cannot be read.
 */
export type ContainerState =
  | 'running'
  | 'starting'
  | 'restarting'
  | 'stopping'
  | 'inactive'
  | 'failed'
  | 'no service'
  | 'damaged'

/**
 * All containers, running or not, by name; after them those of Project Atomic's tool that were not taken over. A damaged one is told
 * of in a notice, too.
 */
export async function listContainers(context: Context): Promise<ContainerRow[]> {
  const { paths } = context
  const atomic = surveyAtomicContainers(atomicCheckouts(paths.atomicSettings), paths.containers)
  // Read last: one that is taken over meanwhile is here, and told once.
  const found = containerNames(paths.containers).flatMap((name) => wholeDeployment(name, context))
  const others = atomic.filter(({ name }) => !found.some((each) => each.name === name))
  const deployments = [...found, ...others.map((each) => ('current' in each ? asDeployment(each.current) : each))]
  const services = deployments.flatMap((each) =>
    'info' in each && each.info['has-container-service'] ? each.name : [],
  )
  const units = services.map(unitName)
  const states = units.length === 0 ? new Map() : await (await context.manager()).statuses(units)
  const trials = trialsByContainer(context)
  const state = ({ name }: { name: string }): UnitState | undefined => states.get(unitName(name))
  return Promise.all([
    ...found.map((each) =>
      'info' in each
        ? containerRow(each, { unit: state(each), trial: trials.get(each.name), parts: each.parts }, context)
        : damagedRow(each, 'forerun', context),
    ),
    ...others.map((each) => atomicRow(each, state(each), context)),
  ])
}

/** What the folders of a container tell beside the `info` of the one in use. */
interface DeploymentParts {
  readonly command: string
  readonly other: OtherDeployment | null
}

function partsOf(deployment: Deployment, context: Context): DeploymentParts {
  return { command: command(deployment), other: otherOf(deployment, context) }
}

/** All of one moment: other commands may switch or remove it at any time. Nothing where it has been removed. */
function wholeDeployment(
  name: string,
  context: Context,
): [] | DamagedDeployment | (Deployment & { readonly parts: DeploymentParts }) {
  const { containers } = context.paths
  for (;;) {
    const each = surveyDeployment(containers, name)
    if (each === undefined || 'problem' in each) return each ?? []
    const parts = partsOf(each, context)
    if (isStillInUse(containers, each)) return { ...each, parts }
  }
}

/** Of a container that Project Atomic's tool installed and nobody took over. @param unit the state of its unit. */
export async function atomicRow(
  container: AtomicContainer | DamagedAtomicContainer,
  unit: UnitState | undefined,
  context: Context,
): Promise<ContainerRow> {
  if ('problem' in container) return damagedRow(container, 'atomic', context)
  const { current, other } = container
  const row = await containerRow(asDeployment(current), { unit }, context)
  return {
    ...row,
    owner: 'atomic',
    detail: [row.detail, notTakenOver].filter((part) => part !== '').join('; '),
    other: other === undefined ? null : shortly(asDeployment(other)),
  }
}

const notTakenOver = 'of atomic, not taken over'

/** As far as rows need it. */
function asDeployment({ name, folder, info }: AtomicContainer['current']): Deployment {
  return { name, folder, info: { ...info, forerun: { version: '', manifest: '', files: [], 'tmpfiles-made': [] } } }
}

/** A journal that cannot be read keeps nobody from seeing the containers: whoever changes something is told. */
export function trialsByContainer({ paths }: Context): ReadonlyMap<string, ContainerRow['trial']> {
  try {
    return new Map(
      readTrials(paths.journal).map(({ operation, trial }) => [
        trial.container,
        { operation: operation.title, awaits: trial.awaits },
      ]),
    )
  } catch (error) {
    if (error instanceof ForerunError || (error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    throw error
  }
}

/** @param options.unit the state of its unit. @param options.parts read here when they are left out. */
export async function containerRow(
  deployment: Deployment,
  options: { unit: UnitState | undefined; trial?: ContainerRow['trial'] | undefined; parts?: DeploymentParts },
  context: Context,
): Promise<ContainerRow> {
  const { unit, trial = null, parts = partsOf(deployment, context) } = options
  const { name, info } = deployment
  const state = info['has-container-service'] ? stateOf(unit) : 'no service'
  return {
    container: name,
    image: info.image,
    imageId: info.revision,
    command: parts.command,
    created: info.created,
    state,
    owner: 'forerun',
    detail: state === 'failed' || state === 'restarting' ? await whyNotUp(unitName(name), context) : '',
    backend: context.settings.output.backend,
    runtime: info.runtime,
    other: parts.other,
    trial,
    ...updatesOf(name, context),
  }
}

function updatesOf(name: string, { paths }: Context): Pick<ContainerRow, 'pinned' | 'updatePolicy'> {
  const { pinned, policy } = readUpdateSettings(paths.containers, name)
  return { pinned, updatePolicy: formatUpdatePolicy(policy) }
}

/** null also for one that cannot be read, or is removed at the moment. */
export function otherOf(deployment: Deployment, { paths }: Context): OtherDeployment | null {
  try {
    const other = otherDeployment(paths.containers, deployment)
    return other === undefined ? null : shortly(other)
  } catch (error) {
    if (error instanceof ForerunError) return null
    throw error
  }
}

function shortly({ folder, info }: Deployment): OtherDeployment {
  return { folder, image: info.image, imageId: info.revision, created: info.created }
}

function damagedRow(
  { name, problem }: DamagedDeployment,
  owner: ContainerRow['owner'],
  context: Context,
): ContainerRow {
  const { settings, emit } = context
  emit({ type: 'notice', message: `${name}: ${problem.message}` })
  const unknown = { image: '', imageId: '', command: '', created: 0, runtime: '', other: null, owner, trial: null }
  return {
    ...unknown,
    ...updatesOf(name, context),
    container: name,
    state: 'damaged',
    detail: problem.message,
    backend: settings.output.backend,
  }
}

function stateOf(unit: UnitState | undefined): ContainerState {
  switch (unit?.activeState) {
    case 'active':
    case 'reloading':
    case 'refreshing':
      return 'running'
    case 'activating':
      return unit.subState.startsWith('auto-restart') ? 'restarting' : 'starting'
    case 'deactivating':
      return 'stopping'
    case 'failed':
      return 'failed'
    default:
      return 'inactive'
  }
}

async function whyNotUp(unit: string, { manager }: Context): Promise<string> {
  const { result, restarts } = await (await manager()).service(unit)
  return restarts === 0 ? result : `${result}, restarted ${restarts === 1 ? 'once' : `${restarts} times`}`
}

function command({ folder, info }: Deployment): string {
  if (!info['has-container-service']) return ''
  const args = v.safeParse(v.object({ process: v.object({ args: v.array(v.string()) }) }), configurationIn(folder))
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
