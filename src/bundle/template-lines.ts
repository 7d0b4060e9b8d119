import { ForerunError } from '../errors.ts'
import { renderParts, type Template, type Values } from './template.ts'
import { textPosition } from './text-position.ts'

/** A piece of a line: the template's own text, or the value of a variable. */
export type LinePiece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly text: string; readonly name: string }

/** A line of a template without its line break. */
export interface TemplateLine {
  readonly file: string
  /** From 1. */
  readonly number: number
  readonly pieces: readonly LinePiece[]
}

/**
 * The lines of a template of a format of lines, with the values of its variables as they are.
 *
 * @throws ForerunError `template` when a variable has no value, or one with a line break.
 */
export function templateLines(template: Template, values: Values): TemplateLine[] {
  const { file } = template
  const lines: LinePiece[][] = [[]]
  const texts = renderParts(template, values)
  for (const [index, part] of template.parts.entries()) {
    const text = texts[index] ?? ''
    if (part.kind === 'variable') {
      if (/[\n\r\0]/.test(text)) throw lineBreak(template, part)
      lines.at(-1)?.push({ kind: 'value', text, name: part.name })
      continue
    }
    for (const [at, line] of text.split('\n').entries()) {
      if (at > 0) lines.push([])
      if (line !== '') lines.at(-1)?.push({ kind: 'text', text: line })
    }
  }
  return lines.map((pieces, index) => ({ file, number: index + 1, pieces }))
}

export function lineText(pieces: readonly LinePiece[]): string {
  return pieces.map(({ text }) => text).join('')
}

/** @param why what keeps the value from being written there. */
export function unwritable(name: string, line: { file: string; number: number }, why: string): ForerunError {
  return new ForerunError(
    'template',
    `The value of '${name}' cannot be written at line ${line.number} of '${line.file}': ${why}`,
    { hint: `Give another value: --set ${name}=VALUE` },
  )
}

function lineBreak(template: Template, { name, offset }: { name: string; offset: number }): ForerunError {
  const { line } = textPosition(template.text, offset)
  return new ForerunError(
    'template',
    `The value of '${name}' has a line break, which line ${line} of '${template.file}' cannot hold`,
    { hint: `Give a value of one line: --set ${name}=VALUE` },
  )
}
