import { ForerunError } from '../../errors.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { Context, SourceOptions } from '../context.ts'
import type { GivenValues } from './given-values.ts'
import { requireDeployment } from './service.ts'
import { updateTarget } from './update-target.ts'

interface Wish extends SourceOptions {
  readonly given: GivenValues
  readonly rebase?: string
  /** By its name, and not with all. */
  readonly isAsked: boolean
}

/**
 * Where an update takes a container, by its name in a registry; undefined where it is pinned and was not asked for by name. Other
 * values alone keep the image, and so are possible for one that is pinned.
 *
 * @throws ForerunError `pinned`, and as `updateTarget`.
 */
export async function plannedTarget(
  name: string,
  wish: Wish,
  context: Context,
): Promise<{ readonly target: string | undefined; readonly remainsPinned: boolean }> {
  const { given, rebase, isAsked, ...options } = wish
  const deployment = requireDeployment(name, context)
  const { image } = deployment.info
  const isOfValuesOnly = rebase === undefined && given.assignments.size + given.credentials.size > 0
  const { pinned } = readUpdateSettings(context.paths.containers, name)
  if (isOfValuesOnly) return { target: image, remainsPinned: pinned }
  if (pinned && isAsked) {
    throw new ForerunError('pinned', `${name} is pinned: nothing updates it`, {
      hint: `Let it be updated again: forerun containers unpin ${name}`,
    })
  }
  if (pinned) return { target: undefined, remainsPinned: true }
  return { target: rebase ?? (await updateTarget(deployment, options, context)), remainsPinned: false }
}
