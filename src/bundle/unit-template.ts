import type { Template, Values } from './template.ts'
import { type LinePiece, lineText, type TemplateLine, templateLines, unwritable } from './template-lines.ts'
import { type UnitPlace, unitPlace } from './unit-places.ts'
import { quotedPath, quotedWord } from './unit-word.ts'
import { commandVariables } from './values.ts'
import { insideQuotes, newWordScan, scanWords, type WordScan } from './word-scan.ts'

/**
 * Renders the template of a unit so that systemd reads every value back as it was given: a value is escaped for its
 * place by the setting and the quotes that it stands in. The command variables are in systemd's syntax already. A
 * variable before the `=`, or alone on a line, is a piece of the unit as it is. One that stands alone as a word of a
 * list or a command is as many words as it has, as systemd has it with `$FOO`; within a word or in quotes it is one.
 *
 * @throws ForerunError `template` with variable, file and line, for a value that cannot be written where it is to stand.
 */
export function renderUnitTemplate(template: Template, values: Values): string {
  let open: Setting | undefined
  const rendered = templateLines(template, values).map((line) => {
    if (isComment(lineText(open === undefined ? line.pieces : ownStart(line.pieces)))) return lineText(line.pieces)
    const { pieces, ending } = withoutContinuation(line.pieces)
    const begun = open === undefined ? beginSetting(pieces) : { head: '', setting: open, pieces }
    const { setting } = begun
    const text = begun.head + (setting === undefined ? lineText(pieces) : writeValue(begun.pieces, setting, line))
    refuseContinuation(text, line)
    if (open !== undefined && isComment(text)) throw madeComment(line)
    open = ending === '' ? undefined : setting
    // systemd reads a blank in place of a backslash and a line break.
    if (open !== undefined) scanWords(open.scan, ' ')
    return text + ending
  })
  return rendered.join('\n')
}

interface Setting {
  readonly key: string
  readonly place: UnitPlace
  readonly scan: WordScan
  /** The first word of a command as far as it has been written: its prefixes say what `$` means. */
  program: string
}

/** The first `=` may lie in the value of a variable. */
function beginSetting(pieces: readonly LinePiece[]): { head: string; setting?: Setting; pieces: readonly LinePiece[] } {
  let head = ''
  for (const [index, { text }] of pieces.entries()) {
    const equals = text.indexOf('=') + 1
    if (equals === 0) {
      head += text
      continue
    }
    head += text.slice(0, equals)
    const key = head.slice(0, -1).trim()
    const rest: LinePiece = { kind: 'text', text: text.slice(equals) }
    const setting = { key, place: unitPlace(key), scan: newWordScan(), program: '' }
    return { head, setting, pieces: [rest, ...pieces.slice(index + 1)] }
  }
  return { head: '', pieces }
}

function writeValue(pieces: readonly LinePiece[], setting: Setting, line: TemplateLine): string {
  const { place } = setting
  if (place === 'text' || place === 'number' || place === 'escapes') {
    refuseOuterBlanks(pieces, line)
    return pieces.map((piece) => writeText(piece, setting)).join('')
  }
  return pieces.map((piece, index) => writePiece(piece, { next: pieces[index + 1], setting, line })).join('')
}

function writeText(piece: LinePiece, { key, place }: Setting): string {
  if (piece.kind === 'text' || place === 'number' || commandVariables.includes(piece.name)) return piece.text
  const escaped = place === 'escapes' ? piece.text.replaceAll('\\', '\\\\') : piece.text
  return key === 'SetCredential' ? escaped : escaped.replaceAll('%', '%%')
}

/** In a place of words. */
function writePiece(piece: LinePiece, where: PieceContext): string {
  const { setting, line, next } = where
  const { scan } = setting
  if (piece.kind === 'text') return writtenAsItIs(piece.text, setting)
  if (commandVariables.includes(piece.name)) return writtenAsItIs(commandPiece(piece.text, setting), setting)
  if (scan.escaped) throw unwritable(piece.name, line, 'it stands after a backslash')
  if (scan.quote !== undefined) return insideQuotes(literal(piece, where), scan.quote)
  const alone = !scan.inWord && (next === undefined || (next.kind === 'text' && /^\s/.test(next.text)))
  if (!alone) return writeWord(piece, where)
  const words = aloneWords(piece, where).map((text, index) => {
    if (index > 0) scanWords(scan, ' ')
    return writeWord({ ...piece, text }, { ...where, alone })
  })
  return words.join(' ')
}

interface PieceContext {
  readonly next: LinePiece | undefined
  readonly setting: Setting
  readonly line: TemplateLine
  /** The value is a word, or several, by itself. */
  readonly alone?: boolean
}

type ValuePiece = Extract<LinePiece, { kind: 'value' }>

function writtenAsItIs(text: string, setting: Setting): string {
  const { scan } = setting
  for (const character of text) {
    scanWords(scan, character)
    if (scan.finished === 0 && scan.inWord) setting.program += character
  }
  return text
}

/** In systemd's syntax already, but for quotes around it, and for commands in which systemd leaves `$` as it is. */
function commandPiece(text: string, { scan, program }: Setting): string {
  const piece = keepsDollars(program) ? text.replaceAll('$$', '$') : text
  return scan.quote === undefined ? piece : insideQuotes(piece, scan.quote)
}

/** As systemd splits its own variables. Of assignments, each is one: their values may have blanks. */
function aloneWords({ name, text }: ValuePiece, { setting, line }: PieceContext): string[] {
  const isEnvironment = setting.key === 'Environment'
  const words = text.split(isEnvironment ? /[ \t]+(?=[A-Za-z_][A-Za-z0-9_]*=)/ : /[ \t]+/).filter((word) => word !== '')
  const other = isEnvironment ? words.find((word) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word)) : undefined
  if (other !== undefined) throw unwritable(name, line, 'each word after Environment= is to be NAME=VALUE')
  return words
}

function writeWord(piece: ValuePiece, where: PieceContext): string {
  if (piece.text === '') return ''
  const { setting } = where
  const text = literal(piece, where)
  setting.scan.inWord = true
  if (setting.scan.finished === 0) setting.program += piece.text
  if (setting.place === 'units') return text
  return setting.place === 'command' || setting.place === 'words' ? quotedWord(text) : quotedPath(text)
}

/** With what means something in or out of quotes doubled. */
function literal({ name, text }: ValuePiece, { setting, line, alone = false }: PieceContext): string {
  const { place, scan, program } = setting
  if (place === 'units') {
    const [other] = /[^A-Za-z0-9:_.\\@-]/.exec(text) ?? []
    if (other !== undefined) throw unwritable(name, line, `no name of a unit has ${JSON.stringify(other)}`)
    return text
  }
  if (place === 'folders') {
    const [other] = (alone ? /["'\\]/ : /["'\\:]/).exec(text) ?? []
    if (other !== undefined) throw unwritable(name, line, `${setting.key}= cannot hold ${JSON.stringify(other)} there`)
  }
  const escaped = text.replaceAll('%', '%%')
  // A program is looked up as it is written.
  const hasVariables = place === 'command' && scan.finished > 0 && !keepsDollars(program)
  return hasVariables ? escaped.replaceAll('$', '$$$$') : escaped
}

/** systemd.service(5), "Table 2. Special executable prefixes". */
function keepsDollars(program: string): boolean {
  return /^["']?[-@+!|]*:/.test(program)
}

/** systemd takes them off the ends of a setting. */
function refuseOuterBlanks(pieces: readonly LinePiece[], line: TemplateLine): void {
  const holding = pieces.filter(({ kind, text }) => (kind === 'value' ? text !== '' : text.trim() !== ''))
  for (const [piece, blank] of [
    [holding.at(0), /^\s/],
    [holding.at(-1), /\s$/],
  ] as const) {
    if (piece?.kind === 'value' && blank.test(piece.text)) {
      throw unwritable(piece.name, line, 'it begins or ends with a blank, which systemd leaves out')
    }
  }
}

/** Also within a setting that goes on over several lines. */
function isComment(line: string): boolean {
  return /^\s*[#;]/.test(line)
}

/** What the template itself has before the first value. */
function ownStart(pieces: readonly LinePiece[]): readonly LinePiece[] {
  const first = pieces.findIndex(({ kind }) => kind === 'value')
  return first < 0 ? pieces : pieces.slice(0, first)
}

function madeComment(line: TemplateLine): Error {
  const { name = '' } = line.pieces.find((piece) => piece.kind === 'value') ?? {}
  return unwritable(name, line, 'it would make a comment of a line that goes on with a setting')
}

function withoutContinuation(pieces: readonly LinePiece[]): { pieces: readonly LinePiece[]; ending: string } {
  const last = pieces.at(-1)
  if (last?.kind !== 'text' || !isContinued(last.text)) return { pieces, ending: '' }
  const end = last.text.lastIndexOf('\\')
  return {
    pieces: [...pieces.slice(0, -1), { kind: 'text', text: last.text.slice(0, end) }],
    ending: last.text.slice(end),
  }
}

function isContinued(text: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*\\\r?$/.test(text)
}

/** The next line would become a part of this one. */
function refuseContinuation(text: string, line: TemplateLine): void {
  const last = line.pieces.findLast((piece) => piece.kind === 'value')
  if (last?.kind !== 'value' || !isContinued(text)) return
  throw unwritable(last.name, line, 'it ends in a backslash, which systemd would take to go on with the next line')
}
