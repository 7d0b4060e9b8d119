import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import { formatUpdatePolicy, parseUpdatePolicy } from '../../image/update-policy.ts'
import {
  formatUpdateSettings,
  readUpdateSettings,
  type UpdateSettings,
  updateSettingsPath,
} from '../../store/update-settings.ts'
import type { Change } from '../../transaction/change.ts'
import { isPresent } from '../../transaction/files.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { carryOut } from '../trials.ts'
import { requireDeployment } from './service.ts'
import { requireFit } from './update-target.ts'

/** How a container is updated from now on. */
export interface UpdateSettingsResult {
  readonly name: string
  readonly pinned: boolean
  readonly updatePolicy: string
}

/**
 * Pins containers, so that they stay as they are, or lets them be updated again. All or none.
 *
 * @throws ForerunError `container-not-found`
 */
export async function pinContainers(
  names: readonly string[],
  pinned: boolean,
  context: Context,
): Promise<UpdateSettingsResult[]> {
  const title = `${pinned ? 'pin' : 'unpin'} ${names.join(' ')}`
  return await changeAll(names, { title, change: (settings) => ({ ...settings, pinned }) }, context)
}

/** @throws ForerunError `container-not-found`; `usage` for what is no policy, or none for its image. */
export async function setUpdatePolicy(name: string, words: string, context: Context): Promise<UpdateSettingsResult> {
  const policy = parseUpdatePolicy(words)
  const { info } = requireDeployment(name, context)
  const hint = `See the image of the container with: forerun containers info ${name}`
  requireFit(policy, parseLocation(info.image), { hint })
  const change = (settings: UpdateSettings): UpdateSettings => ({ ...settings, policy })
  const [result] = await changeAll([name], { title: `policy ${name}`, change }, context)
  return result as UpdateSettingsResult
}

/** @throws ForerunError `container-not-found` */
export function updateSettingsOf(name: string, context: Context): UpdateSettingsResult {
  requireDeployment(name, context)
  return resultOf(name, readUpdateSettings(context.paths.containers, name))
}

/** The change that makes a container's file of settings hold these: none where there is and has to be none. */
export function settingsChanges(name: string, settings: UpdateSettings, containers: string): Change[] {
  const path = updateSettingsPath(containers, name)
  const text = formatUpdateSettings(settings)
  if (text === undefined) return isPresent(path) ? [{ kind: 'remove-file', path }] : []
  const file = { path, content: { bytes: Buffer.from(text) }, mode: 0o644, uid: 0, gid: 0 }
  return [{ kind: isPresent(path) ? 'replace-file' : 'write-file', ...file }]
}

async function changeAll(
  names: readonly string[],
  { title, change }: { title: string; change: (settings: UpdateSettings) => UpdateSettings },
  context: Context,
): Promise<UpdateSettingsResult[]> {
  const { containers } = context.paths
  if (names.length === 0) throw new ForerunError('usage', 'no container is named', { hint: 'Name containers.' })
  for (const name of names) requireDeployment(name, context)
  // Nothing of the containers themselves is changed: one that is on trial stays so.
  using _host = await lockHost(title, context)
  const wanted = [...new Set(names)].map((name) => {
    requireDeployment(name, context)
    return { name, settings: change(readUpdateSettings(containers, name)) }
  })
  const changes = wanted.flatMap(({ name, settings }) => settingsChanges(name, settings, containers))
  if (changes.length > 0) await carryOut({ title, containers: [] }, changes, { trial: undefined, context })
  return wanted.map(({ name, settings }) => resultOf(name, settings))
}

function resultOf(name: string, { pinned, policy }: UpdateSettings): UpdateSettingsResult {
  return { name, pinned, updatePolicy: formatUpdatePolicy(policy) }
}
