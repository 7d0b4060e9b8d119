/**
 * One word of a unit's list or command (systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers"), which systemd
 * reads back as exactly this text.
 */
export function unitWord(text: string): string {
  const literal = text.replaceAll('%', '%%')
  if (/^[^\s"'\\\p{Cc}]+$/u.test(literal)) return literal
  return `"${literal.replace(/["\\\p{Cc}]/gu, escaped)}"`
}

/** One argument of a command after its program (systemd.service(5), "Command lines"), where `$` would begin a variable. */
export function unitArgument(text: string): string {
  return unitWord(text.replaceAll('$', '$$$$'))
}

function escaped(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  if (character > '\x7f') return character
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}
