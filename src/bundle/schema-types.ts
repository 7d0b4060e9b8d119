import * as v from 'valibot'

/** A JSON object, which a list is not; members that are not named are kept. */
export function object<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(notList, v.looseObject(entries))
}

/** A JSON object of any keys. */
export function dictionary<
  const Key extends v.BaseSchema<string, string, v.BaseIssue<unknown>>,
  const Value extends v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>,
>(key: Key, value: Value) {
  return v.pipe(notList, v.record(key, value))
}

// To valibot a list is an object too.
const notList = v.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'an object',
)

/** A whole number in a range, both ends included; beyond 2^53 a bigint, as `readJson` gives it. */
export function integer(least: number | bigint, most: number | bigint) {
  return v.custom<number | bigint>(
    (value) =>
      (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) &&
      value >= least &&
      value <= most,
    `a whole number from ${least} to ${most}`,
  )
}

/** One of the words of an enumeration of the specification. */
export function oneOf<const Words extends readonly [string, ...string[]]>(...words: Words) {
  return v.picklist(words)
}

export const uint16 = integer(0, 2 ** 16 - 1)
export const uint32 = integer(0, 2 ** 32 - 1)
export const uint64 = integer(0, 2n ** 64n - 1n)
export const int64 = integer(-(2n ** 63n), 2n ** 63n - 1n)

export const strings = v.array(v.string())
export const absolutePath = v.pipe(v.string(), v.startsWith('/', 'an absolute path'))
export const capability = v.pipe(v.string(), v.regex(/^CAP_[A-Z_]+$/, 'a name such as CAP_NET_ADMIN'))
