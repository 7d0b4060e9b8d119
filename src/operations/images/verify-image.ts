import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import { openImage } from '../../store/image.ts'
import type { ImageRecord } from '../../store/image-index.ts'
import type { Context, SourceOptions } from '../context.ts'
import { runVerification } from '../integrity/find-faults.ts'
import { describeFault } from '../integrity/verify.ts'
import { findImage } from '../lookup/find-image.ts'
import { namedImage } from '../lookup/named-image.ts'
import { registryNames, samePlatform } from '../lookup/registry-names.ts'
import { type ImageVersion, versionOf } from './image-version.ts'

export interface VerifiedImage {
  /** The full name, or the id of an image without one. */
  readonly image: string
  readonly id: string
  readonly manifest: string
  readonly version: Version
  /** Files that were read and found right; absent when that was not asked for. */
  readonly files?: number
  readonly registry: RegistryState
}

type Version = Pick<ImageVersion, 'name' | 'version' | 'release'>

export type RegistryState =
  | { readonly state: 'current' }
  /** `layers`: of the newer image, those that this one does not have; `size` in bytes as transferred. */
  | {
      readonly state: 'newer'
      readonly id: string
      readonly manifest: string
      readonly version: Version
      readonly layers: readonly { readonly digest: string; readonly size: number }[]
    }
  /** The registry could not be asked, or there is none. */
  | { readonly state: 'unknown'; readonly reason: string }

/**
 * Says whether the image's registry has something newer under its name, and with `validate` whether all of the stored image
 * is what it was when it was pulled. A registry that cannot be asked is part of the result, so that it hides nothing.
 *
 * @throws ForerunError `image-not-found`; `store` for a damaged image, after a notice for each fault.
 */
export async function verifyImage(
  words: string,
  options: SourceOptions & { readonly validate: boolean },
  context: Context,
): Promise<VerifiedImage> {
  const { record, name } = namedImage(words, context)
  const { validate, ...sourceOptions } = options
  const image = name ?? record.names[0] ?? record.id
  const files = validate ? await validateImage(record, image, context) : undefined
  const { configuration } = openImage(context.paths.store, record)
  return {
    image,
    id: record.id,
    manifest: record.manifest,
    version: versionOf(configuration, image),
    ...(files !== undefined && { files }),
    registry: await registryState({ record, name }, { ...samePlatform(configuration), ...sourceOptions }, context),
  }
}

async function validateImage(record: ImageRecord, image: string, context: Context): Promise<number> {
  const { emit } = context
  const scope = { images: [record], index: [record], folders: [] }
  const { faults, read } = await runVerification(scope, context)
  const described = faults.map(describeFault).map(({ part, problem }) => `${part} ${problem}`)
  const [first] = described
  if (first === undefined) return read.length
  for (const message of described.slice(0, mostTold)) emit({ type: 'notice', message })
  if (described.length > mostTold) emit({ type: 'notice', message: `and ${described.length - mostTold} more` })
  const others = described.length > 1 ? `, and ${described.length - 1} more` : ''
  throw new ForerunError('store', `'${image}' is damaged: ${first}${others}`, {
    hint: `Mend it: forerun verify --repair ${image}`,
  })
}

const mostTold = 20

async function registryState(
  { record, name }: { record: ImageRecord; name: string | undefined },
  options: SourceOptions,
  context: Context,
): Promise<RegistryState> {
  const candidates = registryNames(record).filter((candidate) => name === undefined || candidate.name === name)
  const asked = candidates.find(({ left }) => left === undefined)
  if (asked === undefined) return { state: 'unknown', reason: candidates[0]?.left ?? 'it has no name' }
  try {
    return await compareWithRegistry(record, asked.name, { options, context })
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
    return { state: 'unknown', reason: error.message }
  }
}

/**
 * Compares a stored image with what its registry has under a name, without fetching more than what says so.
 *
 * @throws ForerunError when the registry cannot be asked.
 */
export async function compareWithRegistry(
  record: ImageRecord,
  name: string,
  { options, context }: { options: SourceOptions; context: Context },
): Promise<Exclude<RegistryState, { state: 'unknown' }>> {
  await using found = await findImage(parseLocation(name), { ...options, judged: false }, context)
  const { digest, manifest, configuration } = found.image
  if (digest === record.manifest) return { state: 'current' }
  const layers = manifest.layers.filter((_, index) => {
    const diffId = configuration.diffIds[index]
    return diffId === undefined || !record.diffIds.includes(diffId)
  })
  return {
    state: 'newer',
    id: manifest.config.digest,
    manifest: digest,
    version: versionOf(configuration, name),
    layers: layers.map((layer) => ({ digest: layer.digest, size: layer.size })),
  }
}
