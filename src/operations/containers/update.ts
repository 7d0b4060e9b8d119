import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import {
  type Deployment,
  keptRoot,
  nextFolder,
  readDeployment,
  readDeployments,
  refusedManifests,
  rememberRefused,
} from '../../store/deployment.ts'
import { applyChanges } from '../../transaction/transaction.ts'
import { changeHost } from '../change-host.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { planCheckout } from './checkout-plan.ts'
import { singleDeparture } from './departure.ts'
import { type DeploymentWish, deploymentBundle } from './deployment-bundle.ts'
import { arrivalOf, planDeployment } from './deployment-plan.ts'
import { type GivenValues, givenValues, updatedValues } from './given-values.ts'
import type { HostFileView } from './host-files.ts'
import { hostView, viewWithout } from './host-view.ts'
import type { InstallableImage } from './installable-image.ts'
import { lockedImage } from './locked-image.ts'
import { newPower } from './new-power.ts'
import { findRuntime } from './runtime.ts'
import { requireDeployment } from './service.ts'
import { stageDeployment } from './stage-deployment.ts'
import { tellKept } from './tell-kept.ts'
import { transitionChanges } from './transition.ts'
import { imageFinder } from './updated-image.ts'
import { stageVolumes } from './volumes.ts'

export interface UpdateRequest extends SourceOptions {
  readonly set?: readonly string[]
  readonly setFile?: readonly string[]
  readonly setCredential?: readonly string[]
  /** Go to this image in place of a newer one of the same name. */
  readonly rebase?: string
  /** Leave the service stopped. */
  readonly noStart?: boolean
  /** As for `install`: of host files that the deployment before did not have. */
  readonly acceptPower?: (files: readonly HostFileView[]) => Promise<void>
}

/** What became of one container. Ids are those of images. */
export type UpdateResult = { readonly name: string } & (
  | {
      readonly outcome: 'updated'
      readonly image: string
      readonly from: string
      readonly to: string
      /** Whether the service runs now. */
      readonly running: boolean
      readonly kept: readonly string[]
    }
  | { readonly outcome: 'current'; readonly image: string; readonly to: string }
  /** With all containers: it did not stay up with this version before. */
  | { readonly outcome: 'left'; readonly image: string; readonly to: string; readonly reason: string }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string; readonly details: readonly string[] }
)

/**
 * Takes containers to what the registry has now under the names of their images, or to another image, or to other values. A
 * service that does not stay up as it has to is put back as it was. A failure of one of several containers does not keep the
 * others back.
 *
 * @param names all containers when there are none.
 * @throws ForerunError `container-not-found`; for a single name what its update fails with.
 */
export async function updateContainers(
  names: readonly string[],
  request: UpdateRequest,
  context: Context,
): Promise<UpdateResult[]> {
  const given = givenValues(request)
  const wanted = names.length === 0 ? readDeployments(context.paths.containers).map(({ name }) => name) : names
  for (const name of wanted) requireDeployment(name, context)
  const results: UpdateResult[] = []
  for (const name of new Set(wanted)) {
    try {
      results.push(await updateContainer(name, { ...request, given, isAsked: names.length > 0 }, context))
    } catch (error) {
      if (names.length === 1 || !(error instanceof ForerunError) || error.code === 'interrupted') throw error
      const { code, message, details } = error
      results.push({ name, outcome: 'failed', code, reason: message, details })
    }
  }
  return results
}

interface ParsedUpdate extends UpdateRequest {
  readonly given: GivenValues
  /** By its name, and not with all. */
  readonly isAsked: boolean
}

async function updateContainer(name: string, request: ParsedUpdate, context: Context): Promise<UpdateResult> {
  const title = `update ${name}`
  using locked = await lockedImage(title, imageFinder(requireDeployment(name, context), request, context), context)
  using _host = await lockHost(title, context)
  const { image } = locked
  const before = requireDeployment(name, context)
  const wish = wishOf(before, request, context)
  const bundle = deploymentBundle(image, wish)
  if (isCurrent(before, image, bundle.values)) return { name, outcome: 'current', image: image.name, to: image.id }
  if (!request.isAsked && refusedManifests(before).includes(image.manifest)) {
    const reason = `it did not stay up with this version before; to try it again: forerun update ${name}`
    return { name, outcome: 'left', image: image.name, to: image.id, reason }
  }
  for (const message of bundle.notices) context.emit({ type: 'notice', message })
  const from = await singleDeparture(before, context)
  const checkout = planCheckout(bundle, { ...wish, image }, context)
  const view = hostView(name, context)
  const plan = await planDeployment(bundle, image, {
    ...wish,
    checkout,
    view: viewWithout(from.files, view),
    context,
  })
  const power = newPower(plan, before, context)
  if (power.length > 0) await request.acceptPower?.(power)
  await using volumes = await stageVolumes(bundle.service, image, context)
  const takesRoot =
    from.service?.keptRoot !== undefined && keptRoot({ folder: wish.folder, info: plan.info }) !== undefined
  await using staged = await stageDeployment(plan, context, { takesRoot })
  const running = from.service?.active === true && bundle.service !== undefined && request.noStart !== true
  const to = arrivalOf(plan, { staged: staged.folder, volumes: volumes.changes, start: running })
  const transition = transitionChanges({ from, to }, view)
  tellKept(transition, context)
  try {
    await applyChanges({ title, containers: [name] }, transition.changes, {
      journal: context.paths.journal,
      host: changeHost(context),
      signal: context.signal,
    })
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'systemd') await concludeFailure(before, image, context)
    throw error
  }
  const { kept } = transition
  return { name, outcome: 'updated', image: image.name, from: before.info.revision, to: image.id, running, kept }
}

/**
 * Remembers the version that did not stay up, and tells that the one before is back: what undoing could not do it has told
 * itself. A disk that is full or a bus that is gone must not hide why the update failed.
 */
async function concludeFailure(before: Deployment, image: InstallableImage, context: Context): Promise<void> {
  const { name, folder, info } = before
  const { paths, emit } = context
  try {
    rememberRefused(before, image.manifest)
    if (readDeployment(paths.containers, name)?.folder !== folder) return
    const { activeState } = await (await context.manager()).status(unitName(name))
    const state = activeState === 'active' ? 'runs as before' : `is ${activeState}`
    emit({ type: 'notice', message: `${name} was put back to ${info.image} (${info.revision}), and ${state}` })
  } catch (error) {
    if (!(error instanceof ForerunError) && (error as NodeJS.ErrnoException).syscall === undefined) throw error
    emit({ type: 'notice', message: `${name}: ${(error as Error).message}` })
  }
}

/** What was decided for the deployment before stays decided. */
function wishOf({ name, folder, info }: Deployment, { given }: ParsedUpdate, context: Context): DeploymentWish {
  const { forerun, values, runtime } = info
  return {
    name,
    folder: nextFolder(context.paths.containers, { name, folder, info }),
    given: updatedValues(info, given),
    uuid: values.UUID ?? '',
    runtime: findRuntime(runtime),
    checkout: forerun.checkout ?? context.settings.containers.checkout,
    readOnlyRoot: forerun['read-only'],
    made: forerun['tmpfiles-made'],
  }
}

/** Only DESTDIR tells one slot from the other. */
function isCurrent({ info }: Deployment, image: InstallableImage, values: ReadonlyMap<string, string>): boolean {
  if (info.revision !== image.id || info.forerun.manifest !== image.manifest || info.image !== image.name) return false
  const names = new Set([...values.keys(), ...Object.keys(info.values)])
  names.delete('DESTDIR')
  return [...names].every((name) => values.get(name) === info.values[name])
}
