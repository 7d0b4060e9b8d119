import type * as v from 'valibot'

/**
 * One line for a fault that a schema found: where it is (`linux.namespaces[2].type`), what is there, what is wanted.
 * Schemas give what they want as the message of a check or custom schema: "an absolute path".
 */
export function describeIssue(issue: v.BaseIssue<unknown>): string {
  const place = issuePath(issue)
  if (issue.input === undefined) return `${place} is missing`
  const wanted =
    issue.kind === 'validation' || issue.type === 'custom'
      ? issue.message
      : wantedShape(issue.expected ?? 'something else')
  return `${place} is ${shown(issue.input)}, wanted ${wanted}`
}

function issuePath(issue: v.BaseIssue<unknown>): string {
  let path = ''
  for (const { key } of issue.path ?? []) {
    if (typeof key === 'number') path += `[${key}]`
    else if (/^[\w-]+$/.test(String(key))) path += path === '' ? String(key) : `.${String(key)}`
    else path += `[${JSON.stringify(key)}]`
  }
  return path === '' ? 'the whole' : path
}

/** From valibot's names: `Array`, `("x" | "y")`. */
function wantedShape(expected: string): string {
  const alternatives = expected.replace(/^\(|\)$/g, '').split(' | ')
  return [...new Set(alternatives.map((name) => shapes.get(name) ?? name))].join(' or ')
}

const shapes = new Map([
  ['string', 'a string'],
  ['number', 'a number'],
  ['bigint', 'a number'],
  ['boolean', 'true or false'],
  ['Array', 'a list'],
  ['Object', 'an object'],
])

function shown(found: unknown): string {
  if (Array.isArray(found)) return 'a list'
  if (typeof found === 'object' && found !== null) return 'an object'
  if (typeof found !== 'string') return String(found)
  return JSON.stringify(found.length > 60 ? `${found.slice(0, 60)}…` : found)
}
