/**
 * One word of a unit's list or command (systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers"), which systemd
 * reads back as exactly this text.
 */
export function unitWord(text: string): string {
  return quotedWord(text.replaceAll('%', '%%'))
}

/** As `unitWord`, in a list of paths. */
export function unitPath(path: string): string {
  return quotedPath(path.replaceAll('%', '%%'))
}

/** One argument of a command after its program (systemd.service(5), "Command lines"), where `$` would begin a variable. */
export function unitArgument(text: string): string {
  return unitWord(text.replaceAll('$', '$$$$'))
}

/**
 * In quotes where it needs them: a `;` that stands alone would end a command, a `#` where a line goes on would make it a
 * comment. Quotes may begin in the middle of a word.
 */
export function quotedWord(text: string): string {
  if (/^[^\s"'\\;#\p{Cc}]+$/u.test(text)) return text
  return `"${text.replace(/["\\\p{Cc}]/gu, escaped)}"`
}

/**
 * As `quotedWord`, for lists in which a backslash takes the next character as it is, and `\\x09` would be `x09`:
 * those of paths.
 */
export function quotedPath(text: string): string {
  return quotedWord(text) === text ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** The first word of a unit's list or command with its quotes and escapes read, and what follows it. */
export function firstWord(text: string): { word: string; rest: string } {
  const [whole = '', raw = ''] = /^\s*((?:\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'\\])*)\s*/.exec(text) ?? []
  return { word: readWord(raw), rest: text.slice(whole.length) }
}

/** A word as systemd reads it: without quotes, and with escapes replaced (systemd.syntax(7)). */
export function readWord(word: string): string {
  const bare = word.replace(
    /\\.|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/g,
    (whole, double?: string, single?: string) => double ?? single ?? whole,
  )
  return bare.replace(/\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|(.))/g, (_match, hex?: string, octal?: string, other = '') => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
    return escapes.get(other) ?? other
  })
}

function escaped(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  if (character > '\x7f') return character
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}

const escapes = new Map([
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['s', ' '],
  ['t', '\t'],
  ['v', '\v'],
])
