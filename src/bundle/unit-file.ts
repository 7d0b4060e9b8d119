/** One setting of a unit. Units are ordered lists, since keys repeat and their order counts. */
export interface UnitSetting {
  readonly section: string
  readonly key: string
  /** With continuation lines joined; quotes, escapes and specifiers as they are written. */
  readonly value: string
  /** From 1. */
  readonly line: number
}

/**
 * Reads the text of a unit (systemd.syntax(7)). What systemd passes over with a warning, a line without `=` or before
 * the first section, is passed over here too.
 */
export function parseUnit(text: string): UnitSetting[] {
  const settings: UnitSetting[] = []
  let section: string | undefined
  for (const { text: content, line } of joinedLines(text)) {
    const header = /^\[(.*)\]$/.exec(content)
    if (header) {
      section = header[1]
      continue
    }
    const equals = content.indexOf('=')
    if (section === undefined || equals <= 0) continue
    settings.push({
      section,
      key: content.slice(0, equals).trimEnd(),
      value: content.slice(equals + 1).trimStart(),
      line,
    })
  }
  return settings
}

/** The value of a setting that holds one: the last, and undefined when it is absent or reset to nothing. */
export function unitValue(unit: readonly UnitSetting[], section: string, key: string): string | undefined {
  const last = unit.findLast((setting) => setting.section === section && setting.key === key)
  return last === undefined || last.value === '' ? undefined : last.value
}

/** The lines that mean something, trimmed, each with its continuations. Comments do not end a continuation. */
function joinedLines(text: string): { text: string; line: number }[] {
  const joined: { text: string; line: number }[] = []
  let open: { text: string; line: number } | undefined
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const content = raw.trim()
    if (content.startsWith('#') || content.startsWith(';')) continue
    const continued = /(?:^|[^\\])(?:\\\\)*\\$/.test(raw)
    const part = continued ? content.slice(0, -1) : content
    if (open !== undefined) open.text += ` ${part}`
    else if (content !== '') open = { text: part, line: index + 1 }
    if (open === undefined || continued) continue
    joined.push({ ...open, text: open.text.trim() })
    open = undefined
  }
  if (open !== undefined) joined.push({ ...open, text: open.text.trim() })
  return joined
}
