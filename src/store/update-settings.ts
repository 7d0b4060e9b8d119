import { join } from 'node:path'
import * as v from 'valibot'
import { readWhenPresent } from '../host/read-when-present.ts'
import { formatUpdatePolicy, readUpdatePolicy, sameTag, type UpdatePolicy } from '../image/update-policy.ts'

/** How a container is updated; of the container and not of a deployment, so that updates and rollbacks leave it as it is. */
export interface UpdateSettings {
  /** Nothing updates it but values that are asked for by name. */
  readonly pinned: boolean
  readonly policy: UpdatePolicy
}

export const defaultUpdateSettings: UpdateSettings = { pinned: false, policy: sameTag }

/** Where they lie; no container has a name that begins so. */
export function updateSettingsPath(containers: string, name: string): string {
  return join(containers, `.update-${name}.json`)
}

const schema = v.looseObject({ pinned: v.optional(v.boolean(), false), policy: v.optional(v.string(), 'tag') })

/**
 * The defaults where nobody chose anything. A file that cannot be understood, as of a newer version, keeps the container as it is:
 * it counts as pinned.
 */
export function readUpdateSettings(containers: string, name: string): UpdateSettings {
  const text = readWhenPresent(updateSettingsPath(containers, name))?.toString()
  if (text === undefined) return defaultUpdateSettings
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.check(isNoList), schema), text)
  const policy = parsed.success ? readUpdatePolicy(parsed.output.policy) : undefined
  if (!parsed.success || policy === undefined) return { pinned: true, policy: sameTag }
  return { pinned: parsed.output.pinned, policy }
}

function isNoList(value: unknown): boolean {
  return !Array.isArray(value)
}

/** What the file of settings holds; undefined for the defaults, which need none. */
export function formatUpdateSettings({ pinned, policy }: UpdateSettings): string | undefined {
  if (!pinned && policy.kind === 'tag') return undefined
  return `${JSON.stringify({ pinned, policy: formatUpdatePolicy(policy) })}\n`
}
