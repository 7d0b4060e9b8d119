import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import { type ToldPrivilege, toldPrivilege } from '../../bundle/privilege.ts'
import { ForerunError } from '../../errors.ts'
import { freeTmpfilesPath, unitName, unitPath } from '../../host/paths.ts'
import { type ContainerName, parseContainerName } from '../../image/container-name.ts'
import { defaultContainerName, type ImageLocation, parseLocation } from '../../image/location.ts'
import { parseUpdatePolicy } from '../../image/update-policy.ts'
import { readDeployment } from '../../store/deployment.ts'
import { defaultUpdateSettings, type UpdateSettings } from '../../store/update-settings.ts'
import { isDependencyFolder } from '../../systemd/enablement.ts'
import { isPresent } from '../../transaction/files.ts'
import type { OpenTrial } from '../../transaction/transaction.ts'
import type { CheckoutMethod } from '../../tree/checkout-method.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut, judgeOwn } from '../trials.ts'
import { settingsChanges } from './change-update-settings.ts'
import { planCheckout } from './checkout-plan.ts'
import { type DeploymentWish, deploymentBundle } from './deployment-bundle.ts'
import { arrivalOf, planDeployment } from './deployment-plan.ts'
import { bundlePrivileges } from './deployment-privileges.ts'
import { type DisplayedFile, displayedFiles } from './displayed-files.ts'
import { givenValues } from './given-values.ts'
import { type HostFileView, hostFileViews } from './host-files.ts'
import { hostView } from './host-view.ts'
import { type InstallableImage, installableImage, storedInstallableImage, throwawayStore } from './installable-image.ts'
import { lockedImage } from './locked-image.ts'
import { type PlannedFile, planFiles } from './plan-files.ts'
import type { WholePower } from './power.ts'
import { findRuntime } from './runtime.ts'
import { stageDeployment } from './stage-deployment.ts'
import { transitionChanges } from './transition.ts'
import { requireFit } from './update-target.ts'
import { stageVolumes } from './volumes.ts'

export interface InstallRequest extends SourceOptions {
  readonly image: string
  readonly name?: string
  /** `KEY=VALUE` words. */
  readonly set?: readonly string[]
  /** `KEY=PATH` words: the value is the content of a file. */
  readonly setFile?: readonly string[]
  /** `KEY=PATH` words: systemd hands the file to the service, and the value is where it lies. */
  readonly setCredential?: readonly string[]
  readonly runtime?: string
  /** A folder that is, or holds as `rootfs`, the file system to use in place of a checkout. */
  readonly rootfs?: string
  /** In place of the setting. */
  readonly checkout?: CheckoutMethod
  /** Whether the root of an image without a configuration is read-only, in place of the setting. */
  readonly readOnly?: boolean
  readonly display?: boolean
  /** Start the service, too. */
  readonly now?: boolean
  /** Take the place of a unit that the host has under that name. */
  readonly overrideUnit?: boolean
  readonly systemPackage: 'auto' | 'build' | 'no' | 'yes'
  /** To which tags updates may go; default: to the same one. */
  readonly updatePolicy?: string
  /** Told what the container may do on the host; throws when it may not. */
  readonly acceptPower?: (power: WholePower) => Promise<void>
}

export type InstallResult =
  | { readonly outcome: 'present'; readonly name: string }
  | {
      readonly outcome: 'displayed'
      readonly name: string
      readonly files: readonly DisplayedFile[]
      readonly hostFiles: readonly HostFileView[]
      readonly privileges: readonly ToldPrivilege[]
    }
  | {
      readonly outcome: 'installed'
      readonly name: string
      readonly image: string
      /** The image's id. */
      readonly id: string
      /** Whether the image has a service, and not host files only. */
      readonly service: boolean
      /** Whether its unit is started at a boot. */
      readonly enabled: boolean
      readonly started: boolean
      /** What was put on the host. */
      readonly files: readonly string[]
      readonly hostFiles: readonly HostFileView[]
    }

/** What the words of a request mean; made before anything else, so that a mistake in them touches nothing. */
interface ParsedRequest extends DeploymentWish {
  readonly sourceOptions: SourceOptions
  readonly location: ImageLocation
  readonly name: ContainerName
  readonly rootfs: string | undefined
  readonly now: boolean
  readonly overrideUnit: boolean
  readonly updates: UpdateSettings
}

/**
 * Installs an image as a service that starts at the next boot. Everything is prepared and checked first; then the changes
 * to the host are made, all or none.
 */
export async function install(request: InstallRequest, context: Context): Promise<InstallResult> {
  const parsed = parseRequest(request, context)
  if (request.display) return display(parsed, context)
  const { result, trial } = await put(parsed, request, context)
  if (trial !== undefined) await judgeOwn(trial, context)
  return result
}

async function put(
  parsed: ParsedRequest,
  request: InstallRequest,
  context: Context,
): Promise<{ result: InstallResult; trial?: OpenTrial | undefined }> {
  const { name } = parsed
  const title = `install ${name}`
  const present = { outcome: 'present', name } as const
  if (isInstalled(name, context)) return { result: present }
  // Before the download, so that nobody waits for it in vain; the changes look again.
  refuseFilesInTheWay(name, context)
  const find = {
    stored: () => storedInstallableImage(parsed, context),
    fetched: () => installableImage(parsed, context),
  }
  using locked = await lockedImage(title, find, context)
  using _host = await lockHost(title, context, [name])
  if (isInstalled(name, context)) return { result: present }
  refuseFilesInTheWay(name, context)
  const { image } = locked
  const bundle = bundleOf(image, parsed, context)
  // A host without systemd is told so before anything is made that systemd would have to help undo.
  if (bundle.service !== undefined) await refuseForeignUnit(parsed, context)
  const checkout = planCheckout(bundle, { ...parsed, image }, context)
  const view = hostView([name], context)
  const plan = await planDeployment(bundle, image, { ...parsed, checkout, view, context })
  const hostFiles = viewOf(bundle, plan.files, parsed)
  const privileges = bundlePrivileges(bundle, parsed).map(toldPrivilege)
  await request.acceptPower?.({ privileges, files: hostFiles })
  await using volumes = await stageVolumes(bundle.service, image, context)
  await using staged = await stageDeployment(plan, context)
  const to = arrivalOf(plan, { staged: staged.folder, volumes: volumes.changes, goesOn: false })
  const started = bundle.service !== undefined && parsed.now
  const { settle } = context.settings.service
  const updates = settingsChanges(name, parsed.updates, context.paths.containers)
  const changes = [...updates, ...transitionChanges({ to }, view).changes]
  const trial = await carryOut({ title, containers: [name] }, changes, {
    trial: started ? { container: name, awaits: 'start', settle } : undefined,
    context,
  })
  const result = {
    outcome: 'installed',
    name,
    image: image.name,
    id: image.id,
    service: bundle.service !== undefined,
    enabled: plan.files.some(isStartLink),
    started,
    files: plan.info['installed-files'],
    hostFiles,
  } as const
  return { result, trial }
}

function viewOf({ service }: Bundle, files: readonly PlannedFile[], { name }: ParsedRequest): HostFileView[] {
  return hostFileViews(files, { unit: unitName(name), tmpfiles: service?.tmpfiles })
}

/** Renders everything as `install` would, from an image in the store or one fetched into a folder that goes again. */
async function display(parsed: ParsedRequest, context: Context): Promise<InstallResult> {
  using store = await throwawayStore(parsed, context)
  const here = { ...context, paths: { ...context.paths, store: store.path } }
  const image = await installableImage(parsed, here)
  const bundle = bundleOf(image, parsed, here)
  planCheckout(bundle, { ...parsed, image }, context)
  const { name } = parsed
  const view = hostView([name], context)
  const files = planFiles(bundle, image, { name, paths: context.paths, view, emit: () => {} })
  const displayed = displayedFiles(bundle, files, { name, paths: context.paths })
  const hostFiles = viewOf(bundle, files, parsed)
  const privileges = bundlePrivileges(bundle, parsed).map(toldPrivilege)
  return { outcome: 'displayed', name, files: displayed, hostFiles, privileges }
}

function isInstalled(name: string, { paths }: Context): boolean {
  return readDeployment(paths.containers, name) !== undefined
}

/** What makes systemd start it at a boot, and not only gives it another name. */
function isStartLink({ role, kind, path }: PlannedFile): boolean {
  return role === 'enablement' && kind === 'symlink' && isDependencyFolder(dirname(path))
}

function parseRequest(request: InstallRequest, context: Context): ParsedRequest {
  const location = parseLocation(request.image)
  if (request.systemPackage === 'build' || request.systemPackage === 'yes') {
    throw new ForerunError('usage', `--system-package=${request.systemPackage} is not in this version of forerun`, {
      hint: 'Leave it out: the host files are then tracked by forerun itself.',
    })
  }
  if (request.rootfs !== undefined && request.checkout !== undefined) {
    throw new ForerunError('usage', '--checkout and --rootfs cannot be used together', {
      hint: 'With --rootfs no checkout is made.',
    })
  }
  const name = parseContainerName(request.name ?? defaultContainerName(location))
  return {
    location,
    name,
    folder: join(context.paths.containers, `${name}.0`),
    uuid: randomUUID(),
    made: [],
    given: givenValues(request),
    runtime: findRuntime(request.runtime ?? context.settings.runtime.path),
    rootfs: request.rootfs,
    checkout: request.checkout ?? context.settings.containers.checkout,
    readOnlyRoot: readOnlyRoot(request, context),
    now: request.now ?? false,
    overrideUnit: request.overrideUnit ?? false,
    updates: updateSettings(request, location),
    sourceOptions: request,
  }
}

/** @throws ForerunError `usage` */
function updateSettings({ updatePolicy }: InstallRequest, location: ImageLocation): UpdateSettings {
  if (updatePolicy === undefined) return defaultUpdateSettings
  const policy = parseUpdatePolicy(updatePolicy)
  requireFit(policy, location, { hint: 'Install a tag that tells a version, or leave --update-policy out.' })
  return { ...defaultUpdateSettings, policy }
}

function readOnlyRoot({ readOnly }: InstallRequest, { settings }: Context): ParsedRequest['readOnlyRoot'] {
  if (readOnly) return 'asked'
  return settings.containers.readOnly && readOnly === undefined ? 'preferred' : undefined
}

/**
 * The slots of a container `a` are `a.0` and `a.1`, where a container of such a name would have its link. One that is called
 * `a.0` is possible as long as there is no `a`.
 */
function refuseFilesInTheWay(name: string, { paths }: Context): void {
  const [, base] = /^(.+)\.[01]$/.exec(name) ?? []
  if (base !== undefined && readDeployment(paths.containers, base) !== undefined) {
    throw new ForerunError('name', `'${name}' is what a deployment of the container '${base}' is called`, {
      hint: 'Choose another name with --name.',
    })
  }
  const slots = [name, `${name}.0`, `${name}.1`].map((slot) => join(paths.containers, slot))
  const tmpfiles = freeTmpfilesPath(paths, name, (path) => isPresent(path) || undefined)
  const inTheWay = [unitPath(paths, name), tmpfiles, ...slots].find(isPresent)
  if (inTheWay === undefined) return
  throw new ForerunError('file-exists', `The file ${inTheWay} already exists.`, {
    hint: 'Move it away, or choose another name with --name.',
  })
}

/**
 * A unit of the host may have that name. Ours would come before it in systemd's order, and what is enabled for the one would
 * start the other; while the other one runs, systemd would take ours for started.
 */
async function refuseForeignUnit({ name, overrideUnit }: ParsedRequest, { manager, emit }: Context): Promise<void> {
  const unit = unitName(name)
  const { fragmentPath, activeState } = await (await manager()).status(unit)
  if (fragmentPath === '') return
  if (!overrideUnit) {
    throw new ForerunError('unit', `the host has a unit ${unit} of its own: ${fragmentPath}`, {
      hint: 'Choose another name with --name, or, to put the container in its place, give --override-unit.',
    })
  }
  if (activeState === 'inactive' || activeState === 'failed') {
    emit({ type: 'notice', message: `The new ${unit} takes the place of ${fragmentPath}` })
    return
  }
  throw new ForerunError('unit', `${unit} is running already, from ${fragmentPath}`, {
    hint: `Stop it first (systemctl stop ${unit}), or choose another name with --name.`,
  })
}

function bundleOf(image: InstallableImage, parsed: ParsedRequest, context: Context): Bundle {
  const bundle = deploymentBundle(image, parsed)
  for (const message of bundle.notices) context.emit({ type: 'notice', message })
  return bundle
}
