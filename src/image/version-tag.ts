/** A tag that tells a version: `3.5.1`, `v3.5`, `3.6.0-rc.1-alpine`. */
export interface VersionTag {
  readonly tag: string
  /** `v`, or nothing. */
  readonly prefix: string
  /** What is missing in the tag is 0. */
  readonly numbers: Version
  /** How many numbers the tag has: 2 or 3. */
  readonly precision: number
  /** `['rc', 1]`; undefined for a release. */
  readonly preRelease: readonly [word: string, number: number] | undefined
  /** What follows, such as `-alpine`: which build of the version it is. */
  readonly variant: string
}

/** Major, minor and patch. */
export type Version = readonly [number, number, number]

const version = /^([vV]?)(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?![\d.])(.*)$/
/** The usual words for what comes before a release; any other word names a variant. */
const preReleased =
  /^[-_.]?(alpha|beta|rc|pre|preview|milestone|dev|snapshot|nightly|canary|a|b|m)[-_.]?(\d{0,9})(?=$|[-_.])/i

/** undefined for a tag that tells no version: `latest`, `3`, `20260101`, `bookworm`. */
export function parseVersionTag(tag: string): VersionTag | undefined {
  const [, prefix = '', major, minor, patch, rest = ''] = version.exec(tag) ?? []
  if (major === undefined || minor === undefined) return undefined
  const [before = '', word, number] = preReleased.exec(rest) ?? []
  const variant = rest.slice(before.length)
  // `3.5alpine` is no version with a variant that anybody could compare.
  if (variant !== '' && !/^[-_]/.test(variant)) return undefined
  return {
    tag,
    prefix,
    numbers: [Number(major), Number(minor), Number(patch ?? 0)],
    precision: patch === undefined ? 2 : 3,
    preRelease: word === undefined ? undefined : [word.toLowerCase(), Number(number || 0)],
    variant,
  }
}

/** Below, at or above 0, as Semantic Versioning orders versions (section 11): a pre-release is before its release. */
export function compareVersionTags(one: VersionTag, other: VersionTag): number {
  const byNumbers = compareVersions(one.numbers, other.numbers)
  if (byNumbers !== 0) return byNumbers
  const [a, b] = [one.preRelease, other.preRelease]
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1
  return a[1] - b[1]
}

export function compareVersions(one: Version, other: Version): number {
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2]
}
