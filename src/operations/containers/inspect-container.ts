import { type ToldPrivilege, toldPrivilege } from '../../bundle/privilege.ts'
import { builtInVariables, forcedVariables } from '../../bundle/values.ts'
import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { type AtomicContainer, atomicCheckouts, readAtomicContainer } from '../../store/atomic-containers.ts'
import { type Deployment, isStillInUse, readDeployment } from '../../store/deployment.ts'
import { checkHealth } from '../check-health.ts'
import type { Context } from '../context.ts'
import { placedChecksum, placedFiles } from '../placed-files.ts'
import { adoptedDeployment } from './adoption-plan.ts'
import { deploymentPrivileges } from './deployment-privileges.ts'
import { type HostView, hostView } from './host-view.ts'
import {
  atomicRow,
  type ContainerRow,
  containerRow,
  type OtherDeployment,
  trialsByContainer,
} from './list-containers.ts'
import { requireDeployment } from './service.ts'

/** All that there is to know of a container. */
export interface ContainerInspection extends ContainerRow {
  /** Of the image's manifest. */
  readonly digest: string
  /** The deployment in use. */
  readonly folder: string
  /** The one that a rollback goes to. */
  readonly other: OtherDeployment | null
  /** Unix time in seconds since when the unit is in its state; 0 for one that was never started, and for none. */
  readonly since: number
  /** What its health check says now; null for one that has none, or does not run. */
  readonly health: { readonly state: 'healthy' | 'unhealthy'; readonly detail: string } | null
  /** `enabled`, `disabled`, …; empty without a service. */
  readonly unitFileState: string
  /** The tree of `--rootfs`. */
  readonly rootfs: string | null
  /** How its files came out of the store. */
  readonly checkout: string | null
  /** Of the image's variables, and of others that were given. Values that are secret are null. */
  readonly values: Readonly<Record<string, string | null>>
  /** What it may do beyond its own files, power over the host first. Null where its configuration is damaged. */
  readonly privileges: readonly ToldPrivilege[] | null
  readonly files: readonly InspectedFile[]
}

export interface InspectedFile {
  readonly path: string
  readonly role: PlacedFile['role']
  readonly kind: PlacedFile['kind']
  readonly state: 'as installed' | 'modified' | 'missing'
}

/**
 * Needs no lock: all is of one moment at which no other command switched or removed the container.
 *
 * @throws ForerunError `container-not-found`.
 */
export async function inspectContainer(name: string, context: Context): Promise<ContainerInspection> {
  for (;;) {
    const found = await findContainer(name, context)
    const isStill = (): boolean =>
      found.atomic !== undefined || isStillInUse(context.paths.containers, found.deployment)
    try {
      const inspection = await inspect(found, context)
      if (isStill()) return inspection
    } catch (error) {
      if (isStill()) throw error
    }
  }
}

async function inspect({ deployment, atomic }: FoundContainer, context: Context): Promise<ContainerInspection> {
  const { name, folder, info } = deployment
  const { forerun } = info
  const hasService = info['has-container-service']
  const manager = hasService ? await context.manager() : undefined
  const status = await manager?.status(unitName(name))
  const secrets = new Set(forerun.secrets ?? [])
  const view = hostView([name], context)
  const row = await (atomic === undefined
    ? containerRow(deployment, { unit: status, trial: trialsByContainer(context).get(name) }, context)
    : atomicRow(atomic, status, context))
  return {
    ...row,
    digest: forerun.manifest,
    folder,
    other: row.other,
    since: status?.since ?? 0,
    health: row.state === 'running' ? await healthOf(deployment, context) : null,
    unitFileState: status?.unitFileState ?? '',
    rootfs: info.remote,
    checkout: forerun.checkout ?? null,
    values: Object.fromEntries(
      Object.entries(info.values)
        .filter(([key]) => isTold(key, forerun.set ?? []))
        .map(([key, value]) => [key, secrets.has(key) ? null : value]),
    ),
    privileges: inspectedPrivileges(deployment, context),
    files: inspectedFiles(deployment, view, context),
  }
}

interface FoundContainer {
  readonly deployment: Deployment
  readonly atomic?: AtomicContainer
}

/** Also one of Project Atomic's tool, as it would be taken over, in its old place. */
async function findContainer(name: string, context: Context): Promise<FoundContainer> {
  const { paths } = context
  const checkouts = atomicCheckouts(paths.atomicSettings)
  const own = readDeployment(paths.containers, name)
  const atomic = own === undefined ? readAtomicContainer(checkouts, name, { own: paths.containers }) : undefined
  if (atomic === undefined) return { deployment: own ?? requireDeployment(name, context) }
  const { folder } = atomic.current
  const place = { folder, isCurrent: true, left: [], purpose: 'look', context } as const
  return { deployment: await adoptedDeployment(atomic.current, place), atomic }
}

async function healthOf({ name, info }: Deployment, context: Context): Promise<ContainerInspection['health']> {
  const check = info.forerun['health-check']
  if (check === undefined) return null
  const fault = await checkHealth(name, { runtime: info.runtime, check, context })
  return { state: fault === undefined ? 'healthy' : 'unhealthy', detail: fault ?? '' }
}

/** What is damaged does not hide the rest. */
function inspectedPrivileges(deployment: Deployment, { emit }: Context): ToldPrivilege[] | null {
  try {
    return deploymentPrivileges(deployment).map(toldPrivilege)
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    emit({ type: 'notice', message: `What ${deployment.name} may do is not known: ${error.message}` })
    return null
  }
}

function isTold(variable: string, given: readonly string[]): boolean {
  if (given.includes(variable) || variable === 'UUID') return true
  return !forcedVariables.includes(variable) && !builtInVariables.includes(variable)
}

/** What a deployment placed, and what became of it. */
export function inspectedFiles(deployment: Deployment, view: HostView, { paths }: Context): InspectedFile[] {
  return placedFiles(deployment, paths).map((file) => {
    const { path, role, kind } = file
    return { path, role, kind, state: stateOf(file, view) }
  })
}

function stateOf(file: PlacedFile, view: HostView): InspectedFile['state'] {
  const kind = view.kind(file.path)
  if (kind === undefined) return 'missing'
  if (kind !== file.kind) return 'modified'
  // Of older versions' units no checksum is known.
  const isKnown = file.kind !== 'file' || file.digest !== ''
  return isKnown && view.checksum(file.path) !== placedChecksum(file) ? 'modified' : 'as installed'
}
