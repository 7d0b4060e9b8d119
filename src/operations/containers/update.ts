import { ForerunError } from '../../errors.ts'
import { type Deployment, keptRoot, nextFolder, readDeployments, refusedManifests } from '../../store/deployment.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { OpenTrial } from '../../transaction/transaction.ts'
import type { Trial } from '../../transaction/trial.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut, judgeOwn, type TrialWish } from '../trials.ts'
import { planCheckout } from './checkout-plan.ts'
import { singleDeparture } from './departure.ts'
import { type DeploymentWish, deploymentBundle } from './deployment-bundle.ts'
import { arrivalOf, type DeploymentPlan, planDeployment } from './deployment-plan.ts'
import { type GivenValues, givenValues, updatedValues } from './given-values.ts'
import { hostView, viewWithout } from './host-view.ts'
import type { InstallableImage } from './installable-image.ts'
import { lockedImage } from './locked-image.ts'
import { plannedTarget } from './planned-target.ts'
import { type MorePower, type PowerChange, powerChange } from './power.ts'
import { findRuntime } from './runtime.ts'
import { requireDeployment } from './service.ts'
import { stageDeployment } from './stage-deployment.ts'
import { tellKept } from './tell-kept.ts'
import { tellFailed, tellPutBack, tellResult } from './tell-update.ts'
import { type Departure, transitionChanges } from './transition.ts'
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
  /** Switch now, and restart nothing: it runs from the next boot on, after which it is judged. */
  readonly atBoot?: boolean
  /** Milliseconds that a service has to stay up; default: the setting. */
  readonly settle?: number | undefined
  /** Asked whether a container may have what it could not do before; throws when it may not. */
  readonly acceptPower?: (power: MorePower) => Promise<void>
}

/** What became of one container. Ids are those of images. */
export type UpdateResult = { readonly name: string } & (
  | {
      readonly outcome: 'updated'
      readonly image: string
      readonly from: string
      readonly to: string
      /** Whether the service runs with it now. */
      readonly running: boolean
      /** Whether it will from the next boot on. */
      readonly atBoot: boolean
      readonly kept: readonly string[]
      /** What it may do that it could not before, and the reverse. */
      readonly privileges: Omit<PowerChange, 'asked'>
    }
  | { readonly outcome: 'current'; readonly image: string; readonly to: string }
  /** With all containers: it is pinned, or did not stay up with this version before. */
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
  const before = requireDeployment(name, context)
  let switched: Switched | undefined
  do switched = await switchOver(name, request, context).catch((error) => tellFailed(before, error))
  while (switched === undefined)
  const { result, trial } = switched
  if (trial?.trial.awaits === 'start') {
    await judgeOwn(trial, context).catch((error) => tellPutBack({ ...result, from: before.info.revision }, error))
  }
  trial?.[Symbol.dispose]()
  await tellResult(result, before)
  return result
}

interface Switched {
  readonly result: UpdateResult
  readonly trial?: OpenTrial | undefined
}

/**
 * Up to where the service can be restarted.
 *
 * @returns undefined when another command has changed the image of the container while one was looked for: what was found would undo
 * that.
 */
async function switchOver(name: string, request: ParsedUpdate, context: Context): Promise<Switched | undefined> {
  const title = `update ${name}`
  const known = requireDeployment(name, context)
  const { remainsPinned, target } = await plannedTarget(name, request, context)
  if (target === undefined) return { result: pinnedResult(known) }
  const wanted = { ...request, target, pinned: remainsPinned }
  using locked = await lockedImage(title, imageFinder(known, wanted, context), context)
  using _host = await lockHost(title, context, [name])
  const { image } = locked
  const before = requireDeployment(name, context)
  if (!isOfSameImage(known, before)) return undefined
  // Somebody may have pinned it while the image was fetched.
  const { pinned } = readUpdateSettings(context.paths.containers, name)
  if (pinned && !remainsPinned) return { result: pinnedResult(before) }
  const wish = wishOf(before, request, context)
  const bundle = deploymentBundle(image, wish)
  const about = { name, image: image.name, to: image.id }
  if (isCurrent(before, image, bundle.values)) return { result: { ...about, outcome: 'current' } }
  if (!request.isAsked && refusedManifests(before).includes(image.manifest)) {
    const reason = `it did not stay up with this version before; to try it again: forerun update ${name}`
    return { result: { ...about, outcome: 'left', reason } }
  }
  for (const message of bundle.notices) context.emit({ type: 'notice', message })
  const from = await singleDeparture(before, context)
  const checkout = planCheckout(bundle, { ...wish, image }, context)
  const view = hostView([name], context)
  const plan = await planDeployment(bundle, image, {
    ...wish,
    checkout,
    view: viewWithout(from.files, view),
    context,
  })
  const takesRoot =
    from.service?.keptRoot !== undefined && keptRoot({ folder: wish.folder, info: plan.info }) !== undefined
  const start = startOf(request, from, plan)
  if (start === 'boot' && takesRoot) throw rootInUse(name)
  const { asked, ...privileges } = powerChange(plan, before, context)
  await request.acceptPower?.(asked)
  await using volumes = await stageVolumes(bundle.service, image, context)
  await using staged = await stageDeployment(plan, context, { takesRoot })
  const to = arrivalOf(plan, { staged: staged.folder, volumes: volumes.changes, goesOn: start !== 'no' })
  const transition = transitionChanges({ from, to }, view)
  tellKept(transition, context)
  const trial = await carryOut({ title, containers: [name] }, transition.changes, {
    trial: start === 'no' ? undefined : trialWish(before, { image, awaits: start, request, context }),
    context,
  })
  const { kept } = transition
  const outcome = { outcome: 'updated', from: before.info.revision, kept, privileges } as const
  return { result: { ...about, ...outcome, running: start === 'start', atBoot: start === 'boot' }, trial }
}

function pinnedResult({ name, info }: Deployment): UpdateResult {
  return { name, outcome: 'left', image: info.image, to: info.revision, reason: 'it is pinned' }
}

function isOfSameImage({ info: one }: Deployment, { info: other }: Deployment): boolean {
  return one.image === other.image && one.forerun.manifest === other.forerun.manifest && one.remote === other.remote
}

/** When the service is to run from what is new: one that does not run is not started. */
function startOf(
  { noStart, atBoot }: UpdateRequest,
  { service }: Departure,
  { bundle }: DeploymentPlan,
): 'no' | Trial['awaits'] {
  if (service?.active !== true || bundle.service === undefined || noStart === true) return 'no'
  return atBoot === true ? 'boot' : 'start'
}

function rootInUse(name: string): ForerunError {
  return new ForerunError(
    'usage',
    `--at-boot is not possible: the next root of ${name} takes along what it writes now`,
    {
      hint: 'Leave it out: the service is stopped while what it wrote is handed on.',
    },
  )
}

function trialWish(
  { name, folder }: Deployment,
  options: { image: InstallableImage; awaits: Trial['awaits']; request: UpdateRequest; context: Context },
): TrialWish {
  const { image, awaits, request, context } = options
  const { settle = context.settings.update.settle } = request
  return { container: name, awaits, settle, candidate: { manifest: image.manifest, before: folder } }
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
