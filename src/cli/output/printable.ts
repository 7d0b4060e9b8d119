import { stripVTControlCharacters } from 'node:util'

/**
 * Text from an image or a registry as a single line for people: without credentials, and without what would steer the
 * terminal.
 */
export function printable(text: string): string {
  const line = stripVTControlCharacters(withoutCredentials(text)).trim()
  return line.replace(/\s*[\r\n]+\s*/g, ' ').replace(unsafe, escaped)
}

/** As `printable` for a text of several lines that is shown as it will be written: nothing is hidden, blanks and line breaks stay. */
export function printableText(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(unsafe, (character) => (/[\n\t]/.test(character) ? character : escaped(character)))
}

/** JSON, whose strings write these characters by their numbers: it says the same. */
export function printableJson(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2) ?? 'null'
  return text.replace(unsafe, (character) => {
    return character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** C0, DEL and C1, line breaks of Unicode, and the marks that turn the direction of writing. */
const unsafe = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/** Text with every credential in it replaced: of URLs, of HTTP headers, and of answers of token servers. */
export function withoutCredentials(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]*(?::[^\s/?#]*)?@/gi, `$1${hidden}@`)
    .replace(/\b(Bearer|Basic|Negotiate)\s+(?!realm=)[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${hidden}`)
    .replace(
      /((?:[a-z0-9_.-]*(?:token|password|passwd|secret|signature|credential)|\bsig)["']?\s*[=:]\s*["']?)[^\s"'&,;]+/gi,
      `$1${hidden}`,
    )
}

/** Values with every credential replaced, those under a key that names one altogether. */
export function fieldsWithoutCredentials(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, secretKey.test(key) ? hidden : valueWithoutCredentials(value)]),
  )
}

const secretKey = /authorization|cookie|token|password|passwd|secret|credential|identity.?token|^auth$/i

const hidden = '[hidden]'

function valueWithoutCredentials(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value)
  if (Array.isArray(value)) return value.map(valueWithoutCredentials)
  if (value instanceof Error) return withoutCredentials(value.message)
  if (value instanceof URL) return withoutCredentials(value.href)
  if (typeof value === 'object' && value !== null) return fieldsWithoutCredentials({ ...value })
  return typeof value === 'bigint' ? value.toString() : value
}
