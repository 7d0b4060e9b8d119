import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import type { Context, SourceOptions } from '../context.ts'

export interface DeletedRemoteImage {
  /** `registry.example/etcd:3.5` */
  readonly name: string
  /** Of the index or manifest that is gone, with all its tags. */
  readonly digest: string
}

/**
 * Deletes an image from its registry; the store keeps what it has. A name has to say its registry, since what is deleted
 * cannot be had back.
 *
 * @throws ForerunError `usage` for another place than a registry; `image-not-found`, `unauthorized`, `registry`.
 */
export async function deleteRemoteImage(
  words: string,
  options: SourceOptions,
  context: Context,
): Promise<DeletedRemoteImage> {
  const location = parseLocation(words)
  if (location.transport !== 'docker' || location.shortName !== undefined) {
    throw new ForerunError('usage', `'${words}' does not name an image in a registry`, {
      hint: 'Write the whole name, with its registry: registry.example/etcd:3.5',
    })
  }
  await using target = await context.target(location, options)
  if (target.deleteManifest === undefined) throw new Error('a registry from which nothing can be deleted')
  return { name: target.name, digest: await target.deleteManifest(context) }
}
