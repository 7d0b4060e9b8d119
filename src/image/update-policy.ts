import { ForerunError } from '../errors.ts'
import { shownWords } from './reference.ts'
import { isInRange, parseVersionRange, type VersionRange } from './version-range.ts'
import { compareVersionTags, parseVersionTag, type VersionTag } from './version-tag.ts'

/**
 * To which tags an update may go: `tag` to what the registry has now under the same one; `patch`, `minor` and `major` to the highest
 * version that differs in that number at most; or to the highest of a range.
 */
export type UpdatePolicy =
  | { readonly kind: 'tag' | 'patch' | 'minor' | 'major' }
  | { readonly kind: 'range'; readonly words: string; readonly range: VersionRange }

export const sameTag: UpdatePolicy = { kind: 'tag' }

/** @throws ForerunError `usage` */
export function parseUpdatePolicy(words: string): UpdatePolicy {
  const policy = readUpdatePolicy(words)
  if (policy !== undefined) return policy
  throw new ForerunError('usage', `'${shownWords(words)}' is no update policy`, {
    hint: "Write tag, patch, minor, major, or versions that there can be, such as '~3.5' or '>=3.5 <3.7'.",
  })
}

/** undefined for words that are none. */
export function readUpdatePolicy(words: string): UpdatePolicy | undefined {
  if (words === 'tag' || words === 'patch' || words === 'minor' || words === 'major') return { kind: words }
  const range = parseVersionRange(words)
  return range && { kind: 'range', words: words.trim().replace(/\s+/g, ' '), range }
}

/** As `parseUpdatePolicy` reads it. */
export function formatUpdatePolicy(policy: UpdatePolicy): string {
  return policy.kind === 'range' ? policy.words : policy.kind
}

/** Whether a policy can choose from this tag on: versions are compared with one, but for a range, which says itself what to begin with. */
export function policyFits(policy: UpdatePolicy, tag: string): boolean {
  return policy.kind === 'tag' || policy.kind === 'range' || parseVersionTag(tag) !== undefined
}

/**
 * The tag that an update goes to: the highest version that the policy allows. It has the same `v`, as many numbers, and the same
 * variant (`-alpine`) as the one before; it is no pre-release unless that is one; and it is never lower. A range takes a tag
 * without a version to plain versions of three numbers.
 *
 * @param tags all of the repository, in any order.
 * @returns the same tag where there is none that is higher.
 */
export function chooseTag(policy: UpdatePolicy, current: string, tags: readonly string[]): string {
  if (policy.kind === 'tag') return current
  const before = parseVersionTag(current)
  let best = before
  for (const tag of tags) {
    const version = parseVersionTag(tag)
    if (version === undefined || !isAllowed(policy, version, before)) continue
    if (best === undefined || compareVersionTags(version, best) > 0) best = version
  }
  return best?.tag ?? current
}

function isAllowed(policy: UpdatePolicy, version: VersionTag, before: VersionTag | undefined): boolean {
  const { numbers, prefix, precision, variant, preRelease } = version
  if (preRelease !== undefined && before?.preRelease === undefined) return false
  if (policy.kind === 'range' && !isInRange(policy.range, numbers)) return false
  if (before === undefined) return policy.kind === 'range' && precision === 3 && variant === ''
  if (prefix !== before.prefix || precision !== before.precision || variant !== before.variant) return false
  const fixed = { patch: 2, minor: 1 }[policy.kind as string] ?? 0
  return numbers.slice(0, fixed).every((number, index) => number === before.numbers[index])
}
