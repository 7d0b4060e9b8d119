import { ForerunError } from '../../errors.ts'
import { type Deployment, readDeployments } from '../../store/deployment.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { Context, SourceOptions } from '../context.ts'
import { compareWithRegistry } from '../images/verify-image.ts'
import { recordPlatform, registryNames } from '../lookup/registry-names.ts'
import { deployedRecord } from './installable-image.ts'
import { requireDeployment } from './service.ts'
import { updateTarget } from './update-target.ts'

/** Whether there is something newer for a container. `from` and `to` are ids of images. */
export type UpdateCheck = { readonly name: string; readonly image: string; readonly from: string } & (
  | { readonly outcome: 'current' }
  /** `target`: the name of the image that it would go to; `fetch`: bytes that would have to be transferred. */
  | { readonly outcome: 'available'; readonly target: string; readonly to: string; readonly fetch: number }
  /** Nothing updates it. */
  | { readonly outcome: 'left'; readonly reason: string }
  /** The registry could not be asked, or there is none. */
  | { readonly outcome: 'unknown'; readonly reason: string }
)

/**
 * Asks registries what an update would go to; changes nothing.
 *
 * @param names all containers when there are none.
 * @throws ForerunError `container-not-found`, `interrupted`.
 */
export async function checkUpdates(
  names: readonly string[],
  options: SourceOptions,
  context: Context,
): Promise<UpdateCheck[]> {
  const deployments =
    names.length === 0
      ? readDeployments(context.paths.containers)
      : [...new Set(names)].map((name) => requireDeployment(name, context))
  const checks: UpdateCheck[] = []
  for (const deployment of deployments) checks.push(await checkUpdate(deployment, options, context))
  return checks
}

async function checkUpdate({ name, info }: Deployment, options: SourceOptions, context: Context): Promise<UpdateCheck> {
  const { store } = context.paths
  const about = { name, image: info.image, from: info.revision }
  const unknown = (reason: string): UpdateCheck => ({ ...about, outcome: 'unknown', reason })
  if (readUpdateSettings(context.paths.containers, name).pinned) {
    return { ...about, outcome: 'left', reason: 'it is pinned' }
  }
  if (info.remote !== null) return unknown(`its root is '${info.remote}'`)
  const record = deployedRecord(info, store)
  if (record === undefined) return unknown('the store does not have its image any more')
  const left = registryNames(record).find((each) => each.name === info.image)?.left
  if (left !== undefined) return unknown(left)
  try {
    const all = { ...recordPlatform(record, store), ...options }
    const target = await updateTarget({ name, info }, all, context)
    const found = await compareWithRegistry(record, target, { options: all, context })
    if (found.state === 'current' && target === info.image) return { ...about, outcome: 'current' }
    if (found.state === 'current') return { ...about, outcome: 'available', target, to: info.revision, fetch: 0 }
    const fetch = found.layers.reduce((sum, { size }) => sum + size, 0)
    return { ...about, outcome: 'available', target, to: found.id, fetch }
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
    return unknown(error.message)
  }
}
