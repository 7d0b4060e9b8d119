/**
 * JSON as configurations need it: integers beyond 2^53 (the runtime specification has 64-bit ones) are kept exactly, as
 * bigints, and a fault is found with its place.
 */
export type JsonReading =
  | { readonly valid: true; readonly value: unknown }
  /** `offset` into the text, `problem` in a few words. */
  | { readonly valid: false; readonly offset: number; readonly problem: string }

// ECMAScript 2026 (JSON.parse source text access), which TypeScript's libraries do not describe yet.
declare global {
  interface JSON {
    parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
    rawJSON(text: string): object
  }
}

export function readJson(text: string): JsonReading {
  try {
    return { valid: true, value: JSON.parse(text, exactInteger) }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return { valid: false, ...findFault(text) }
  }
}

/** The text of a value that may hold bigints, indented by two spaces, with a line break at the end. */
export function formatJson(value: unknown): string {
  const exact = (_key: string, member: unknown) => (typeof member === 'bigint' ? JSON.rawJSON(`${member}`) : member)
  return `${JSON.stringify(value, exact, 2)}\n`
}

function exactInteger(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  return source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value
}

const space = /[ \t\n\r]*/y
const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these.
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these.
const stringStart = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y

/** Reads again what JSON.parse refused, since its message names no place for some faults. */
function findFault(text: string): { offset: number; problem: string } {
  const closers: ('}' | ']')[] = []
  let offset = 0
  let want = 'value' as 'value' | 'value or ]' | 'key' | 'key or }' | ':' | 'comma'
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = offset
    const match = pattern.exec(text)
    offset += match?.[0].length ?? 0
    return match !== null
  }
  for (;;) {
    take(space)
    const character = text[offset]
    const closer = closers.at(-1)
    if (character === undefined) return { offset, problem: 'the text ends too early' }
    const mayClose = want === 'comma' || want === 'value or ]' || want === 'key or }'
    if (mayClose && closer !== undefined && character === closer) {
      offset++
      closers.pop()
      want = 'comma'
    } else if (want === 'comma') {
      if (closer === undefined) return { offset, problem: `${shown(character)} after the end of the value` }
      if (character !== ',') return { offset, problem: `${shown(character)} where ',' or '${closer}' is wanted` }
      offset++
      want = closer === '}' ? 'key' : 'value'
    } else if (want === ':') {
      if (character !== ':') return { offset, problem: `${shown(character)} where ':' is wanted` }
      offset++
      want = 'value'
    } else if (character === '"') {
      if (!take(string)) {
        take(stringStart)
        return { offset, problem: stringProblem(text, offset) }
      }
      want = want === 'key' || want === 'key or }' ? ':' : 'comma'
    } else if (want === 'key' || want === 'key or }') {
      return { offset, problem: `${shown(character)} where a key in double quotes is wanted` }
    } else if (character === '{' || character === '[') {
      offset++
      closers.push(character === '{' ? '}' : ']')
      want = character === '{' ? 'key or }' : 'value or ]'
    } else if (take(literal)) {
      want = 'comma'
    } else {
      return { offset, problem: `${shown(character)} where a value is wanted` }
    }
  }
}

function stringProblem(text: string, offset: number): string {
  const character = text[offset]
  if (character === undefined) return 'a string without end'
  return character === '\\' ? 'a string with a bad escape' : 'a string with a line break or control character'
}

function shown(character: string): string {
  return character < ' ' ? 'a control character' : `'${character}'`
}
