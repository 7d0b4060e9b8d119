import { closeSync, existsSync, linkSync, mkdirSync, mkdtempSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceBundle } from '../../bundle/bundle.ts'
import type { MountUnit } from '../../bundle/mount-unit.ts'
import { ForerunError } from '../../errors.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { overlayFault, overlayFolders } from '../../host/overlay.ts'
import { removeTree } from '../../host/remove-tree.ts'
import { securityModules } from '../../host/security-modules.ts'
import { checkoutFolder, placedContentPath } from '../../store/deployment.ts'
import { applyMetadata } from '../../store/metadata.ts'
import { copySecurityLabel } from '../../store/security-label.ts'
import { copyInto } from '../../transaction/files.ts'
import { byteString } from '../../tree/entry.ts'
import { addMountPoint } from '../../tree/mount-point.ts'
import { checkOutInThreads } from '../../workers/check-out-in-threads.ts'
import type { Context } from '../context.ts'
import { unfinishedPrefix } from '../unfinished.ts'
import type { CheckoutPlan } from './checkout-plan.ts'
import { type DeploymentPlan, tmpfilesCopy } from './deployment-plan.ts'
import type { InstallableImage } from './installable-image.ts'

/** What a plan tells of the folder that is to be made. */
export interface DeploymentToStage extends Pick<DeploymentPlan, 'name' | 'info' | 'checkout' | 'files'> {
  readonly image: Pick<InstallableImage, 'tree' | 'rootfs'>
  readonly bundle: { readonly service?: StagedService | undefined }
}

type StagedService = Pick<
  ServiceBundle,
  'configurationText' | 'unit' | 'tmpfiles' | 'mountUnit' | 'mountPoints' | 'choosesRoot'
>

/**
 * Makes the complete folder of a deployment beside its place: checkout, configuration, `info`, copies of unit and tmpfiles
 * lines, and the content of all that it places on the host. Disposing removes it, unless it has been renamed into place.
 *
 * @param options.takesRoot whether what an earlier deployment wrote to its root comes along.
 */
export async function stageDeployment(
  plan: DeploymentToStage,
  context: Context,
  options: { takesRoot: boolean } = { takesRoot: false },
): Promise<{ folder: string } & AsyncDisposable> {
  const { containers } = context.paths
  mkdirSync(containers, { recursive: true, mode: 0o700 })
  const folder = mkdtempSync(join(containers, unfinishedPrefix))
  const staged = {
    folder,
    async [Symbol.asyncDispose]() {
      const left = await removeTree(folder)
      if (left !== undefined) context.emit({ type: 'notice', message: `${folder} ${left}` })
    },
  }
  try {
    await fill(folder, plan, { ...options, context })
    return staged
  } catch (error) {
    await staged[Symbol.asyncDispose]()
    throw namingFullDisk(error, containers)
  }
}

async function fill(
  folder: string,
  plan: DeploymentToStage,
  { takesRoot, context }: { takesRoot: boolean; context: Context },
): Promise<void> {
  const { name, bundle, image } = plan
  writeFileSync(join(folder, 'info'), `${JSON.stringify(plan.info, undefined, 2)}\n`, { mode: 0o600 })
  keepPlacedContent(folder, plan)
  if (bundle.service === undefined) return
  writeFileSync(join(folder, 'config.json'), bundle.service.configurationText, { mode: 0o600 })
  writeFileSync(join(folder, `${name}.service`), bundle.service.unit)
  if (bundle.service.tmpfiles !== undefined) writeFileSync(tmpfilesCopy(name, folder), bundle.service.tmpfiles)
  if (image.rootfs !== undefined) {
    symlinkSync(image.rootfs, join(folder, 'rootfs'))
    return
  }
  context.emit({ type: 'step', message: `Making the checkout of ${name}` })
  const { mountUnit, mountPoints } = bundle.service
  if (mountUnit !== undefined) await prepareOverlay(folder, mountUnit, plan, { takesRoot, context })
  for (const { path, kind } of mountPoints) addMountPoint(image.tree, path, kind)
  const target = checkoutFolder({ folder, info: plan.info })
  const options = { target, ...(plan.checkout as CheckoutPlan) }
  await checkOutInThreads(context.paths.store, image.tree, options, context)
  if (securityModules().selinux) labelRoots(folder, target)
}

/**
 * Files on the host may be changed or go; going back to this deployment needs what it placed. Files of the store are linked, and
 * those of a user's own tree copied.
 */
function keepPlacedContent(folder: string, { files, image }: DeploymentToStage): void {
  mkdirSync(join(folder, 'placed'), { mode: 0o700 })
  for (const file of files) {
    if (file.kind !== 'file') continue
    const path = placedContentPath(folder, file.digest)
    if (existsSync(path)) continue
    if ('bytes' in file.content) writeFileSync(path, file.content.bytes, { mode: 0o600 })
    else if (image.rootfs !== undefined || !isLinked(file.content.copyOf, path)) copyFile(file.content.copyOf, path)
  }
}

/** Not to another file system, nor of a file that has as many names as there may be. */
function isLinked(from: string | Buffer, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP'].includes(code)) return false
    throw error
  }
}

function copyFile(from: string | Buffer, to: string): void {
  const fd = openSync(to, 'wx', 0o600)
  try {
    copyInto(fd, from)
  } finally {
    closeSync(fd)
  }
}

/** The checkout, and what is mounted over it. */
function labelRoots(folder: string, checkout: string): void {
  const upper = join(folder, 'upper')
  for (const path of [checkout, ...(existsSync(upper) ? [upper] : [])]) copySecurityLabel('/', path)
}

/** Makes the folders beside the checkout. The root folder of an overlay is what its uppermost layer says. */
async function prepareOverlay(
  folder: string,
  { kind }: MountUnit,
  { image, bundle }: DeploymentToStage,
  { takesRoot, context }: { takesRoot: boolean; context: Context },
): Promise<void> {
  const { paths, signal } = context
  const fault = await overlayFault(join(folder, 'trial'), kind, { signal })
  if (fault !== undefined) {
    throw new ForerunError('checkout', `an overlay cannot be mounted in '${paths.containers}': ${fault}`, {
      hint:
        bundle.service?.choosesRoot && kind === 'writable'
          ? 'Give it a read-only root with --read-only, or set [containers] path to a folder on ext4, XFS or btrfs.'
          : 'Set [containers] path in forerun.conf to a folder on ext4, XFS or btrfs, on no overlay and no network.',
    })
  }
  for (const name of [...overlayFolders[kind].beside, 'rootfs']) {
    if (name === 'upper' && takesRoot) continue
    const path = join(folder, name)
    mkdirSync(path, { mode: 0o755 })
    if (name === 'upper') applyMetadata(byteString(path), image.tree.metadata, { symlink: false })
  }
}
