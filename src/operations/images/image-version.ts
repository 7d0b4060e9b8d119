import type { ImageConfiguration } from '../../image/configuration.ts'
import { parseLocation } from '../../image/location.ts'
import { openImage } from '../../store/image.ts'
import type { Context, SourceOptions } from '../context.ts'
import { findImage } from '../lookup/find-image.ts'
import { findNamedImage } from '../lookup/named-image.ts'
import { labelOf } from './images.ts'

export interface ImageVersion {
  /** The image's full name, or its id when it was named so. */
  readonly image: string
  readonly id: string
  readonly manifest: string
  /** Of the labels; absent ones are not made up, but for the name. */
  readonly name: string
  readonly version?: string
  readonly release?: string
  readonly from: 'store' | 'registry'
}

/**
 * The version of an image as its labels tell it: of the stored one, else, or with `remote`, of the one where it comes from.
 *
 * @throws ForerunError `image-not-found`, `store`, and what reading the source throws.
 */
export async function imageVersion(
  words: string,
  options: SourceOptions & { readonly remote: boolean },
  context: Context,
): Promise<ImageVersion> {
  const { remote, ...sourceOptions } = options
  const stored = remote ? undefined : storedVersion(words, context)
  if (stored !== undefined) return stored
  await using found = await findImage(parseLocation(words), { ...sourceOptions, judged: false }, context)
  const { reference, manifest, digest, configuration } = found.image
  const about = { image: reference, id: manifest.config.digest, manifest: digest }
  return { ...about, ...versionOf(configuration, reference), from: 'registry' }
}

function storedVersion(words: string, context: Context): ImageVersion | undefined {
  const named = findNamedImage(words, context)
  if (named === undefined) return undefined
  const { record, name } = named
  const image = name ?? record.names[0] ?? record.id
  const { configuration } = openImage(context.paths.store, record)
  return { image, id: record.id, manifest: record.manifest, ...versionOf(configuration, image), from: 'store' }
}

const labels = {
  name: ['name', 'atomic.name', 'org.opencontainers.image.title'],
  version: ['version', 'atomic.version', 'org.opencontainers.image.version'],
  release: ['release', 'atomic.release'],
}

/** What the labels of an image called `image` tell of its version. */
export function versionOf(
  { config }: ImageConfiguration,
  image: string,
): Pick<ImageVersion, 'name' | 'version' | 'release'> {
  const first = (keys: readonly string[]): string | undefined => {
    return keys.map((key) => labelOf(config.labels, key)).find((value) => value !== undefined && value !== '')
  }
  const [version, release] = [first(labels.version), first(labels.release)]
  return {
    name: first(labels.name) ?? image.replace(/@.*$/, '').replace(/:[^/]*$/, ''),
    ...(version !== undefined && { version }),
    ...(release !== undefined && { release }),
  }
}
