import { compareVersions, type Version } from './version-tag.ts'

/** Versions from `from` on and below `below`. */
interface Interval {
  readonly from: Version
  readonly below: Version
}

/** One of the alternatives has to hold the version. */
export type VersionRange = readonly Interval[]

const endless = Number.POSITIVE_INFINITY
const all: Interval = { from: [0, 0, 0], below: [endless, 0, 0] }

/**
 * Reads a range as npm and Flux write it: comparators `=`, `>`, `>=`, `<`, `<=`, `~` and `^` before versions that may leave out
 * numbers or have `x` for them, joined by spaces or commas; alternatives by `||`.
 *
 * @returns undefined for other words, and for a range that no version is in.
 */
export function parseVersionRange(text: string): VersionRange | undefined {
  const alternatives = text.split('||').map(parseAlternative)
  return alternatives.every((each) => each !== undefined) ? alternatives : undefined
}

export function isInRange(range: VersionRange, version: Version): boolean {
  return range.some(({ from, below }) => compareVersions(version, from) >= 0 && compareVersions(version, below) < 0)
}

function parseAlternative(text: string): Interval | undefined {
  const comparators = text
    .replace(/([<>=~^])\s+/g, '$1')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(parseComparator)
  if (comparators.length === 0) return undefined
  let { from, below } = all
  for (const comparator of comparators) {
    if (comparator === undefined) return undefined
    if (compareVersions(comparator.from, from) > 0) from = comparator.from
    if (compareVersions(comparator.below, below) < 0) below = comparator.below
  }
  return compareVersions(from, below) < 0 ? { from, below } : undefined
}

const grammar = /^(>=|<=|>|<|=|~|\^)?v?(x|\*|\d{1,9})(?:\.(x|\*|\d{1,9}))?(?:\.(x|\*|\d{1,9}))?$/i

function parseComparator(word: string): Interval | undefined {
  const match = grammar.exec(word)
  if (match === null) return undefined
  const parts = [match[2], match[3], match[4]].map((part) => (/^\d/.test(part ?? '') ? Number(part) : undefined))
  // What follows an `x` says nothing.
  const known = parts.slice(0, parts.includes(undefined) ? parts.indexOf(undefined) : 3) as number[]
  const from: Version = [known[0] ?? 0, known[1] ?? 0, known[2] ?? 0]
  const next = raised(known, known.length - 1)
  switch (match[1]) {
    case '>=':
      return { from, below: all.below }
    case '<':
      return { from: all.from, below: from }
    case '>':
      return { from: next, below: all.below }
    case '<=':
      return { from: all.from, below: next }
    case '~':
      return { from, below: raised(known, Math.min(known.length - 1, 1)) }
    case '^':
      return { from, below: raised(known, leftmost(known)) }
    default:
      return { from, below: next }
  }
}

/** The first version that differs in the number at an index; none when there is no such number. */
function raised(known: readonly number[], index: number): Version {
  if (index < 0) return all.below
  const at = (place: number): number => (place > index ? 0 : (known[place] ?? 0) + (place === index ? 1 : 0))
  return [at(0), at(1), at(2)]
}

/** The first number that is not 0, else the last one. */
function leftmost(known: readonly number[]): number {
  const found = known.findIndex((number) => number !== 0)
  return found < 0 ? known.length - 1 : found
}
