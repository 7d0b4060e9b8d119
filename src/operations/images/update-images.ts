import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import { readImageIndex } from '../../store/image-index.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockStore } from '../locks.ts'
import { namedImage } from '../lookup/named-image.ts'
import { recordPlatform, registryNames } from '../lookup/registry-names.ts'
import { pullImage } from '../transfer/pull.ts'

/** What became of one name. Digests are those of manifests. */
export type UpdatedImage = { readonly name: string } & (
  | { readonly outcome: 'updated'; readonly from: string; readonly to: string }
  | { readonly outcome: 'current'; readonly from: string }
  /** No registry can have something newer under this name. */
  | { readonly outcome: 'left'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string }
)

/**
 * Pulls what registries have now under the names of stored images. The older image loses the name; it stays as long as it
 * has another one or a container, else `images prune` removes it. A failure of one of several names does not keep the
 * others back.
 *
 * @param words names or ids; all images when there are none.
 * @throws ForerunError `image-not-found`
 */
export async function updateImages(
  words: readonly string[],
  options: SourceOptions,
  context: Context,
): Promise<UpdatedImage[]> {
  using _lock = await lockStore('images update', 'exclusive', context)
  const results: UpdatedImage[] = []
  const targets = words.length === 0 ? allNames(context) : words.flatMap((word) => namesOf(word, context))
  for (const name of new Set(targets)) results.push(await updateName(name, options, context))
  return results
}

function allNames({ paths }: Context): string[] {
  return readImageIndex(paths.store).flatMap(({ names }) => names)
}

/** By id, all names of the image. */
function namesOf(word: string, context: Context): readonly string[] {
  const { record, name } = namedImage(word, context)
  const names = name === undefined ? record.names : [name]
  if (names.length > 0) return names
  throw new ForerunError('image-not-found', `the image '${word}' has no name under which a registry could have it`, {
    hint: 'Pull the image by its name.',
  })
}

async function updateName(name: string, options: SourceOptions, context: Context): Promise<UpdatedImage> {
  const { record } = namedImage(name, context)
  const left = registryNames(record).find((candidate) => candidate.name === name)?.left
  if (left !== undefined) {
    // The word is one that scripts look for.
    context.emit({ type: 'notice', message: `${name}: skipping, ${left}` })
    return { name, outcome: 'left', reason: left }
  }
  try {
    const pulled = await pullImage(
      parseLocation(name),
      { ...recordPlatform(record, context.paths.store), ...options },
      context,
    )
    const from = record.manifest
    const to = pulled.record.manifest
    return from === to ? { name, outcome: 'current', from } : { name, outcome: 'updated', from, to }
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
    return { name, outcome: 'failed', code: error.code, reason: error.message }
  }
}
