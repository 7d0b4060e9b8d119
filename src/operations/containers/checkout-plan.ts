import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Bundle, ServiceBundle } from '../../bundle/bundle.ts'
import type { HostLookup } from '../../bundle/mount-exposure.ts'
import { type RootExposure, rootExposures } from '../../bundle/root-exposure.ts'
import { ForerunError } from '../../errors.ts'
import { writableMountsBelow } from '../../host/mounts.ts'
import type { CheckoutMethod } from '../../tree/checkout-method.ts'
import type { Context } from '../context.ts'
import { requireProgram, sharesFiles } from './existing-root.ts'
import type { InstallableImage } from './installable-image.ts'

export interface CheckoutPlan {
  readonly method: CheckoutMethod
  /** Whether the files of the checkout may be the very inodes of the store. */
  readonly shared: boolean
}

/**
 * Decides whether a container may have inodes of the store. It gets files of its own where its configuration lets it
 * write to them.
 *
 * @returns undefined where no checkout is made.
 * @throws ForerunError `checkout` when hard links were asked for and would let the container change the store, `rootfs` when
 * it could change the checkout of another container.
 */
export function planCheckout(
  { service }: Bundle,
  wanted: { name: string; checkout: CheckoutMethod; image: Pick<InstallableImage, 'rootfs' | 'tree'> },
  { paths, emit }: Context,
): CheckoutPlan | undefined {
  if (service === undefined) return undefined
  const exposures = rootExposures(service.configuration, [paths.store, paths.containers], host)
  const reasons = exposures.filter(({ way }) => way === 'host').map(({ reason }) => reason)
  if (reasons.length > 0) {
    emit({ type: 'notice', message: `Nothing keeps ${wanted.name} from changing the store: it ${reasons.join(', ')}` })
  }
  const { rootfs, tree } = wanted.image
  if (rootfs !== undefined) {
    requireProgram(rootfs, tree, service)
    const reason = writableRoot(service) ?? exposures[0]?.reason
    const isOurs = [paths.store, paths.containers].some((place) => rootfs.startsWith(`${host.realPath(place)}/`))
    if (reason !== undefined && isOurs) {
      refuseSharedFiles(rootfs, reason, sharesFiles(rootfs, tree, paths.containers))
      emit({ type: 'notice', message: `${wanted.name} may change '${rootfs}', which is another's too: it ${reason}` })
    }
    return undefined
  }
  const dangerous = service.mountUnit === undefined ? exposures : exposures.filter(({ way }) => way === 'host')
  if (wanted.checkout === 'hardlink') refuseHardLinks(wanted.name, dangerous)
  return { method: wanted.checkout, shared: dangerous.length === 0 }
}

function writableRoot({ configuration }: ServiceBundle): string | undefined {
  return configuration.root.readonly === true ? undefined : 'has a writable root'
}

function refuseHardLinks(name: string, [exposure]: readonly RootExposure[]): void {
  if (exposure === undefined) return
  throw new ForerunError('checkout', `${name} cannot have hard links to the store: it ${exposure.reason}`, {
    hint: 'Leave the checkout method to auto, which then gives it files of its own, or choose reflink, overlay or copy.',
  })
}

/** Files that the store has, too, are those of other containers. */
function refuseSharedFiles(rootfs: string, reason: string, isShared: boolean): void {
  if (!isShared) return
  throw new ForerunError('rootfs', `'${rootfs}' cannot be the root of a container that ${reason}`, {
    hint: 'Its files are those of the store, too: leave --rootfs out, or copy the folder to another place.',
  })
}

const host: HostLookup = {
  realPath,
  writableMountsBelow,
}

/** Of what is not there yet, as far as it is. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return join(realPath(dirname(path)), basename(path))
  }
}
