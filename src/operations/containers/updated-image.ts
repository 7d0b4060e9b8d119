import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import type { Deployment } from '../../store/deployment.ts'
import { readImageIndex } from '../../store/image-index.ts'
import type { Context, SourceOptions } from '../context.ts'
import { recordPlatform, registryNames } from '../lookup/registry-names.ts'
import type { GivenValues } from './given-values.ts'
import {
  deployedImage,
  deployedRecord,
  type InstallableImage,
  newestImage,
  storedInstallableImage,
} from './installable-image.ts'
import type { ImageFinder } from './locked-image.ts'
import { isUnreachable } from './update-target.ts'

interface ImageWish extends SourceOptions {
  readonly rebase?: string
  readonly given: GivenValues
  /** The full name that the update goes to, without `rebase`. */
  readonly target: string
  /** The image stays, whatever its name means by now. */
  readonly pinned: boolean
}

/**
 * Where the image comes from: for other values alone it is the one that is stored. While a registry cannot be reached, it is what
 * has been downloaded of it.
 */
export function imageFinder({ name, info }: Deployment, request: ImageWish, context: Context): ImageFinder {
  const { given, rebase, target, pinned } = request
  const location = parseLocation(rebase ?? target)
  const rootfs = info.remote ?? undefined
  const wanted = { location, rootfs, sourceOptions: { ...deployedPlatform(info, context), ...request } }
  const isOfValuesOnly = rebase === undefined && given.assignments.size + given.credentials.size > 0
  const fetched = (): Promise<InstallableImage> => newestImage(wanted, context)
  const stored = (): Promise<InstallableImage | undefined> => storedInstallableImage(wanted, context)
  if (pinned) return { stored: async () => deployedImage(info, context), fetched: async () => gone(name) }
  if (isOfValuesOnly) return { stored: async () => (await stored()) ?? deployedImage(info, context), fetched }
  if (rootfs !== undefined || rebase !== undefined || !isOfRegistry(info.image, context)) return { stored, fetched }
  const downloaded = async (error: unknown): Promise<InstallableImage> => {
    const image = isUnreachable(error) ? await stored() : undefined
    if (image === undefined || image.manifest === info.forerun.manifest) throw error
    context.emit({ type: 'notice', message: `${(error as Error).message}; going on with what was downloaded` })
    return image
  }
  return { stored: async () => undefined, fetched: () => fetched().catch(downloaded) }
}

function gone(name: string): never {
  throw new ForerunError('pinned', `${name} is pinned, and the store does not have its image whole any more`, {
    hint: `Mend it: forerun verify --repair ${name}; or let it go to another one: forerun containers unpin ${name}`,
  })
}

/** An image that was chosen for another platform than this host's stays one for that. */
function deployedPlatform(info: Deployment['info'], { paths }: Context): Pick<SourceOptions, 'platform'> {
  const record = deployedRecord(info, paths.store)
  return record === undefined ? {} : recordPlatform(record, paths.store)
}

/** Whether a registry may have something newer under a name. */
function isOfRegistry(name: string, { paths, emit }: Context): boolean {
  const record = readImageIndex(paths.store).find(({ names }) => names.includes(name))
  const left = record && registryNames(record).find((each) => each.name === name)?.left
  if (left !== undefined) emit({ type: 'notice', message: `${name} is not looked for in a registry: ${left}` })
  return left === undefined
}
