import { ForerunError } from '../../errors.ts'
import { type ImageLocation, parseLocation } from '../../image/location.ts'
import { formatReference, parseReference, type Reference, repositoryName } from '../../image/reference.ts'
import { chooseTag, formatUpdatePolicy, policyFits, type UpdatePolicy } from '../../image/update-policy.ts'
import type { Deployment } from '../../store/deployment.ts'
import { readImageIndex } from '../../store/image-index.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { Context, SourceOptions } from '../context.ts'
import { registryNames } from '../lookup/registry-names.ts'
import { deployedRecord } from './installable-image.ts'

/**
 * The full name of the image that an update goes to: that of the deployment, with the tag that the container's policy chooses
 * of those of the registry. While that cannot be reached, it is chosen of what has been downloaded.
 *
 * @throws ForerunError `usage` where the policy does not fit the image; and when the tags cannot be listed.
 */
export async function updateTarget(
  { name, info }: Pick<Deployment, 'name' | 'info'>,
  options: SourceOptions,
  context: Context,
): Promise<string> {
  const { policy } = readUpdateSettings(context.paths.containers, name)
  if (policy.kind === 'tag' || info.remote !== null) return info.image
  const record = deployedRecord(info, context.paths.store)
  const left = record && registryNames(record).find((each) => each.name === info.image)?.left
  if (left !== undefined) return info.image
  requireFit(policy, parseLocation(info.image), { hint: `Choose another one: forerun containers policy ${name} tag` })
  const reference = parseReference(info.image)
  const { tag = 'latest' } = reference
  const chosen = chooseTag(policy, tag, await tagsOf(reference, options, context))
  return formatReference({ ...reference, tag: chosen })
}

/**
 * Refuses a policy that cannot choose anything for an image.
 *
 * @throws ForerunError `usage`
 */
export function requireFit(policy: UpdatePolicy, location: ImageLocation, { hint }: { hint: string }): void {
  const why = misfit(policy, location)
  if (why === undefined) return
  throw new ForerunError('usage', `the update policy '${formatUpdatePolicy(policy)}' is not possible: ${why}`, { hint })
}

function misfit(policy: UpdatePolicy, location: ImageLocation): string | undefined {
  if (policy.kind === 'tag') return undefined
  if (location.transport !== 'docker') return 'the image is in no registry'
  const { tag = 'latest', digest } = location.reference
  if (digest !== undefined) return 'its digest names the image for ever'
  return policyFits(policy, tag) ? undefined : `the tag '${tag}' tells no version`
}

async function tagsOf(reference: Reference, options: SourceOptions, context: Context): Promise<readonly string[]> {
  try {
    await using source = await context.source({ transport: 'docker', reference, shortName: undefined }, options)
    if (source.tags === undefined) throw new Error('a registry that has no tags')
    return await source.tags(context)
  } catch (error) {
    if (!isUnreachable(error)) throw error
    const stored = storedTags(reference, context)
    if (stored.length === 0) throw error
    return stored
  }
}

/** Whether what has been downloaded already is what there is. */
export function isUnreachable(error: unknown): error is ForerunError {
  return error instanceof ForerunError && error.code === 'registry'
}

/** Of the same repository, as far as they were pulled from there. */
function storedTags(reference: Reference, { paths }: Context): string[] {
  const names = readImageIndex(paths.store).flatMap(registryNames)
  return names.flatMap(({ name, left }) => {
    const stored = parseReference(name)
    const isSame = left === undefined && repositoryName(stored) === repositoryName(reference)
    return isSame && stored.tag !== undefined ? [stored.tag] : []
  })
}
