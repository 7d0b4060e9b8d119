import { parseLocation, spelledRepository } from '../../image/location.ts'
import { formatReference } from '../../image/reference.ts'
import { wholeImage } from '../../store/image.ts'
import type { DirectoryNode } from '../../tree/node.ts'
import type { Context, SourceOptions } from '../context.ts'
import { neededAcceptance } from '../lookup/accept-image.ts'
import { findNamedImage, type NamedImage } from '../lookup/named-image.ts'
import { pullImage } from '../transfer/pull.ts'

/** An image whose files can be looked at; also one that cannot be installed. */
export interface MountableImage {
  /** Full name; the id for one without a name. */
  readonly name: string
  readonly id: string
  readonly tree: DirectoryNode
}

/**
 * The image of the store that words mean, as they do for `images info`; undefined when it has to be pulled: it is not there, not
 * whole, or not what the policy requires of its name by now.
 */
export function storedMountableImage(words: string, context: Context): MountableImage | undefined {
  const found = namedInStore(words, context)
  if (found === undefined) return undefined
  const { record } = found
  const name = found.name ?? record.names[0]
  const needed = name === undefined ? undefined : neededAcceptance(parseLocation(name))
  if (needed !== undefined && !record.accepted.includes(needed)) return undefined
  const tree = wholeImage(context.paths.store, record)?.tree
  return tree && { name: name ?? record.id, id: record.id, tree }
}

/** As its place has it now; of an id, the place that the stored image's name leads to. The store must be locked. */
export async function pulledMountableImage(
  words: string,
  options: SourceOptions,
  context: Context,
): Promise<MountableImage> {
  const found = namedInStore(words, context)
  const isId = found !== undefined && found.name === undefined
  const location = parseLocation(isId ? (found.record.names[0] ?? words) : words)
  const { record, stored } = await pullImage(location, { ...options, spelling: spelledRepository(location) }, context)
  const tree = wholeImage(context.paths.store, record, stored)?.tree
  if (tree === undefined) throw new Error(`${record.manifest} was pulled and is not whole`)
  return { name: record.name, id: record.id, tree }
}

/** Only a registry's name says which image of the store is meant; other places are looked at again. */
function namedInStore(words: string, context: Context): NamedImage | undefined {
  const location = parseLocation(words)
  if (location.transport !== 'docker') return undefined
  return findNamedImage(location.shortName ?? formatReference(location.reference), context)
}
