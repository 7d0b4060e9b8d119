import type { Template, Values } from './template.ts'
import { type LinePiece, lineText, type TemplateLine, templateLines, unwritable } from './template-lines.ts'
import { quotedPath } from './unit-word.ts'
import { insideQuotes, newWordScan, scanWords, type WordScan } from './word-scan.ts'

/**
 * Renders a template of tmpfiles.d(5) lines so that systemd-tmpfiles reads every value back as it was given: in the
 * first fields as one word, in the argument by the line's type. A value where a line begins is a piece of it as it is.
 *
 * @throws ForerunError `template` with variable, file and line, for a value that cannot be written where it is to stand.
 */
export function renderTmpfilesTemplate(template: Template, values: Values): string {
  return templateLines(template, values).map(writeLine).join('\n')
}

/**
 * Type, path, mode, user, group and age are words; what follows them is the argument, to the end of the line, in which
 * quotes mean nothing but for extended attributes.
 */
const fieldCount = 6

function writeLine(line: TemplateLine): string {
  if (/^\s*#/.test(lineText(line.pieces))) return lineText(line.pieces)
  const scan = newWordScan()
  let written = ''
  for (const piece of line.pieces) written += writePiece(piece, { scan, written, line })
  return written
}

function writePiece(piece: LinePiece, where: { scan: WordScan; written: string; line: TemplateLine }): string {
  const { scan, written, line } = where
  const type = /^\s*["']?([a-zA-Z])/.exec(written)?.[1] ?? ''
  const isArgument = scan.finished >= fieldCount && !/[tT]/.test(type)
  if (isArgument) return piece.kind === 'text' ? piece.text : argument(piece.text, type)
  const isStart = piece.kind === 'value' && scan.finished === 0 && scan.quote === undefined
  if (piece.kind === 'text' || isStart) {
    scanWords(scan, piece.text)
    return piece.text
  }
  if (scan.escaped) throw unwritable(piece.name, line, 'it stands after a backslash')
  const text = piece.text.replaceAll('%', '%%')
  if (scan.quote !== undefined) return insideQuotes(text, scan.quote)
  const isPart = scan.inWord
  scan.inWord = true
  // An empty field is one, too: without it the others would move up.
  return isPart && text === '' ? '' : quotedPath(text)
}

/** Blanks at its ends would be left out. */
function argument(text: string, type: string): string {
  if (!/[fFwLC]/.test(type)) return text
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('%', '%%')
  return escaped.replace(/^[ \t]+|[ \t]+$/g, (blanks) => blanks.replaceAll(' ', '\\x20').replaceAll('\t', '\\t'))
}
