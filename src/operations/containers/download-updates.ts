import { ForerunError } from '../../errors.ts'
import { parseLocation, spelledRepository } from '../../image/location.ts'
import { type Deployment, readDeployments, refusedManifests } from '../../store/deployment.ts'
import { readUpdateSettings } from '../../store/update-settings.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockStore } from '../locks.ts'
import { recordPlatform, registryNames } from '../lookup/registry-names.ts'
import { pullImage } from '../transfer/pull.ts'
import { deployedRecord } from './installable-image.ts'
import { requireDeployment } from './service.ts'
import type { UpdateResult } from './update.ts'
import { updateTarget } from './update-target.ts'

/** What an update would take. Ids are those of images. */
export type DownloadResult =
  | Exclude<UpdateResult, { outcome: 'updated' }>
  | {
      readonly name: string
      /** It is in the store now. */
      readonly outcome: 'downloaded'
      readonly image: string
      readonly from: string
      readonly to: string
    }

/**
 * Brings into the store what updates would take containers to, and changes no container. The next update takes it from there, also
 * while the registry cannot be reached. A failure of one of several containers does not keep the others back.
 *
 * @param names all containers when there are none.
 * @throws ForerunError `container-not-found`; for a single name what its download fails with.
 */
export async function downloadUpdates(
  names: readonly string[],
  options: SourceOptions,
  context: Context,
): Promise<DownloadResult[]> {
  const deployments =
    names.length === 0
      ? readDeployments(context.paths.containers)
      : [...new Set(names)].map((name) => requireDeployment(name, context))
  const results: DownloadResult[] = []
  for (const deployment of deployments) {
    try {
      results.push(await downloadUpdate(deployment, options, context))
    } catch (error) {
      if (names.length === 1 || !(error instanceof ForerunError) || error.code === 'interrupted') throw error
      const { code, message, details } = error
      results.push({ name: deployment.name, outcome: 'failed', code, reason: message, details })
    }
  }
  return results
}

async function downloadUpdate(
  deployment: Deployment,
  options: SourceOptions,
  context: Context,
): Promise<DownloadResult> {
  const { name, info } = deployment
  const { store } = context.paths
  const left = whyLeft(deployment, context)
  if (left !== undefined) return { name, outcome: 'left', image: info.image, to: info.revision, reason: left }
  const before = deployedRecord(info, store)
  const all = { ...(before && recordPlatform(before, store)), ...options }
  const image = await updateTarget(deployment, all, context)
  using _lock = await lockStore(`update --download-only ${name}`, 'exclusive', context)
  const location = parseLocation(image)
  const { record } = await pullImage(location, { ...all, spelling: spelledRepository(location) }, context)
  const about = { name, image: record.name, to: record.id }
  if (record.manifest === info.forerun.manifest && record.name === info.image) return { ...about, outcome: 'current' }
  if (refusedManifests(deployment).includes(record.manifest)) {
    return { ...about, outcome: 'left', reason: 'it did not stay up with this version before' }
  }
  return { ...about, outcome: 'downloaded', from: info.revision }
}

/** Why no registry has anything for it, or nobody wants it. */
function whyLeft({ name, info }: Deployment, { paths }: Context): string | undefined {
  if (readUpdateSettings(paths.containers, name).pinned) return 'it is pinned'
  if (info.remote !== null) return `its root is '${info.remote}'`
  const record = deployedRecord(info, paths.store)
  return record && registryNames(record).find((each) => each.name === info.image)?.left
}
