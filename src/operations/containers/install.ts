import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { type Bundle, prepareBundle } from '../../bundle/bundle.ts'
import { lastCapability } from '../../bundle/capabilities.ts'
import { parseAssignments } from '../../bundle/values.ts'
import { ForerunError } from '../../errors.ts'
import { hostKind } from '../../host/host-kind.ts'
import { tmpfilesPath, unitName, unitPath } from '../../host/paths.ts'
import { type ContainerName, parseContainerName } from '../../image/container-name.ts'
import { defaultContainerName, type ImageLocation, parseLocation } from '../../image/location.ts'
import { readDeployment } from '../../store/deployment.ts'
import { isPresent } from '../../transaction/files.ts'
import { applyChanges } from '../../transaction/transaction.ts'
import type { CheckoutMethod } from '../../tree/checkout-method.ts'
import { changeHost } from '../change-host.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { planCheckout } from './checkout-plan.ts'
import { type DisplayedFile, displayedFiles } from './displayed-files.ts'
import { installChanges, planInstallation } from './install-changes.ts'
import { type InstallableImage, installableImage, throwawayStore } from './installable-image.ts'
import { findRuntime } from './runtime.ts'
import { stageDeployment } from './stage-deployment.ts'

export interface InstallRequest extends SourceOptions {
  readonly image: string
  readonly name?: string
  /** `KEY=VALUE` words. */
  readonly set?: readonly string[]
  readonly runtime?: string
  /** A folder that is, or holds as `rootfs`, the file system to use in place of a checkout. */
  readonly rootfs?: string
  /** In place of the setting. */
  readonly checkout?: CheckoutMethod
  readonly display?: boolean
  /** Start the service, too. */
  readonly now?: boolean
  readonly systemPackage: 'auto' | 'build' | 'no' | 'yes'
}

export type InstallResult =
  | { readonly outcome: 'present'; readonly name: string }
  | { readonly outcome: 'displayed'; readonly name: string; readonly files: readonly DisplayedFile[] }
  | {
      readonly outcome: 'installed'
      readonly name: string
      readonly image: string
      /** The image's id. */
      readonly id: string
      /** Whether the image has a service, and not host files only. */
      readonly service: boolean
      readonly started: boolean
      /** What was put on the host. */
      readonly files: readonly string[]
    }

/** What the words of a request mean; made before anything else, so that a mistake in them touches nothing. */
interface ParsedRequest {
  readonly sourceOptions: SourceOptions
  readonly location: ImageLocation
  readonly name: ContainerName
  readonly assignments: ReadonlyMap<string, string>
  readonly runtime: string
  readonly rootfs: string | undefined
  readonly checkout: CheckoutMethod
  readonly now: boolean
}

/**
 * Installs an image as a service that starts at the next boot. Everything is prepared and checked first; then the changes
 * to the host are made, all or none.
 */
export async function install(request: InstallRequest, context: Context): Promise<InstallResult> {
  const parsed = parseRequest(request, context)
  if (request.display) return display(parsed, context)
  using _lock = await lockHost(context)
  if (readDeployment(context.paths.containers, parsed.name) !== undefined) {
    return { outcome: 'present', name: parsed.name }
  }
  refuseFilesInTheWay(parsed.name, context)
  const image = await installableImage(parsed, context)
  const bundle = bundleOf(image, parsed, context)
  // A host without systemd is told so before anything is made that systemd would have to help undo.
  if (bundle.service !== undefined) await refuseRunningUnit(parsed.name, context)
  const checkout = planCheckout(bundle, { ...parsed, rootfs: image.rootfs }, context)
  const plan = planInstallation(bundle, image, { name: parsed.name, runtime: parsed.runtime, checkout, context })
  using staged = await stageDeployment(plan, context)
  const changes = installChanges(plan, { staged: staged.folder, start: parsed.now, context })
  await applyChanges(`install ${parsed.name}`, changes, {
    journal: context.paths.journal,
    host: changeHost(context),
    signal: context.signal,
  })
  return {
    outcome: 'installed',
    name: parsed.name,
    image: image.name,
    id: image.id,
    service: bundle.service !== undefined,
    started: bundle.service !== undefined && parsed.now,
    files: plan.info['installed-files'],
  }
}

/** Renders everything as `install` would, from an image in the store or one fetched into a folder that goes again. */
async function display(parsed: ParsedRequest, context: Context): Promise<InstallResult> {
  using store = await throwawayStore(parsed, context)
  const here = { ...context, paths: { ...context.paths, store: store.path } }
  const image = await installableImage(parsed, here)
  const bundle = bundleOf(image, parsed, here)
  planCheckout(bundle, { ...parsed, rootfs: image.rootfs }, context)
  const files = displayedFiles(bundle, { name: parsed.name, paths: context.paths })
  return { outcome: 'displayed', name: parsed.name, files }
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
  return {
    location,
    name: parseContainerName(request.name ?? defaultContainerName(location)),
    assignments: parseAssignments(request.set ?? []),
    runtime: findRuntime(request.runtime ?? context.settings.runtime.path),
    rootfs: request.rootfs,
    checkout: request.checkout ?? context.settings.containers.checkout,
    now: request.now ?? false,
    sourceOptions: request,
  }
}

/**
 * Before the download, so that nobody waits for it in vain; the changes look again. A container `a.0` and the first
 * deployment of a container `a` would have one place.
 */
function refuseFilesInTheWay(name: string, { paths }: Context): void {
  const places = [join(paths.containers, name), join(paths.containers, `${name}.0`)]
  const inTheWay = [unitPath(paths, name), tmpfilesPath(paths, name), ...places].find(isPresent)
  if (inTheWay === undefined) return
  throw new ForerunError('file-exists', `The file ${inTheWay} already exists.`, {
    hint: 'Move it away, or choose another name with --name.',
  })
}

/**
 * A package of the host may have a unit of that name. Ours comes before it in systemd's order, which the user should know;
 * while the other one runs, systemd would take ours for started.
 */
async function refuseRunningUnit(name: string, { manager, emit }: Context): Promise<void> {
  const unit = unitName(name)
  const { fragmentPath, activeState } = await (await manager()).status(unit)
  if (fragmentPath === '') return
  if (activeState === 'inactive' || activeState === 'failed') {
    emit({ type: 'notice', message: `The new ${unit} takes the place of ${fragmentPath}` })
    return
  }
  throw new ForerunError('unit', `${unit} is running already, from ${fragmentPath}`, {
    hint: `Stop it first (systemctl stop ${unit}), or choose another name with --name.`,
  })
}

function bundleOf(image: InstallableImage, parsed: ParsedRequest, context: Context): Bundle {
  const bundle = prepareBundle({
    deployment: {
      name: parsed.name,
      destination: join(context.paths.containers, `${parsed.name}.0`),
      imageId: image.id,
      imageName: image.name,
      runtime: parsed.runtime,
      program: '/usr/bin/forerun',
      uuid: randomUUID(),
      lastCapability: lastCapability(),
    },
    image: image.configuration,
    files: image.files,
    assignments: parsed.assignments,
    hostKind,
    overlay: parsed.checkout === 'overlay',
    ...(image.rootfs === undefined ? {} : { rootfs: image.rootfs }),
  })
  for (const message of bundle.notices) context.emit({ type: 'notice', message })
  return bundle
}
