import { ForerunError } from '../errors.ts'
import { largestText, overLimit } from '../image/text-limits.ts'
import { textPosition } from './text-position.ts'

/** Variables and their values, by name. */
export type Values = ReadonlyMap<string, string>

/** A text with the variables of Python's `string.Template`, known to be well formed. */
export interface Template {
  /** How the file is named in errors: its path in the image. */
  readonly file: string
  readonly text: string
  readonly parts: readonly TemplatePart[]
}

/** `offset` is where the part begins in the template's text. Literal text has its `$$` replaced already. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string; readonly offset: number }
  | { readonly kind: 'variable'; readonly name: string; readonly offset: number }

/**
 * Reads a text by the rules of Python's `string.Template`: `$NAME`, `${NAME}`, and `$$` for a dollar sign.
 *
 * @throws ForerunError `template` with line and column for any other `$`.
 */
export function parseTemplate(text: string, file: string): Template {
  const parts: TemplatePart[] = []
  let end = 0
  for (const match of text.matchAll(placeholder)) {
    if (match.index > end) parts.push({ kind: 'text', text: text.slice(end, match.index), offset: end })
    end = match.index + match[0].length
    const { escaped, named, braced } = match.groups ?? {}
    const name = named ?? braced
    if (escaped !== undefined) parts.push({ kind: 'text', text: '$', offset: match.index })
    else if (name !== undefined) parts.push({ kind: 'variable', name, offset: match.index })
    else throw strayDollar({ text, file, offset: match.index })
  }
  if (end < text.length) parts.push({ kind: 'text', text: text.slice(end), offset: end })
  return { file, text, parts }
}

/** Names of the variables in the order of their first use. */
export function templateVariables(template: Template): string[] {
  return [...new Set(template.parts.flatMap((part) => (part.kind === 'variable' ? [part.name] : [])))]
}

/** Those of its variables that are secret. */
export function secretVariables(template: Template | undefined, secrets: ReadonlySet<string>): string[] {
  return template === undefined ? [] : templateVariables(template).filter((name) => secrets.has(name))
}

/**
 * The text with every variable replaced by its value as `place` writes it (by default, as it is).
 *
 * @throws ForerunError `template` naming file and variable when one has no value, `limit` when the text gets too large.
 */
export function renderTemplate(template: Template, values: Values, options: { place?: Place } = {}): string {
  return renderParts(template, values, options).join('')
}

/** How a value is written at the place where its variable stands. */
export type Place = (value: string, variable: { readonly name: string; readonly offset: number }) => string

/** As `renderTemplate`, with one string for each of the template's parts. */
export function renderParts(template: Template, values: Values, options: { place?: Place } = {}): string[] {
  const place = options.place ?? ((value) => value)
  let length = 0
  return template.parts.map((part) => {
    const text = part.kind === 'text' ? part.text : placedValue(template, part, { values, place })
    length += text.length
    if (length > largestText) {
      throw overLimit(`The template file '${template.file}'`, `more than ${largestText} bytes with the values in it`)
    }
    return text
  })
}

function placedValue(
  template: Template,
  variable: { readonly name: string; readonly offset: number },
  { values, place }: { values: Values; place: Place },
): string {
  const value = values.get(variable.name)
  if (value === undefined) throw missingValue(template, values, variable.name)
  return place(value, variable)
}

/** As `renderTemplate` for a format of lines. @throws ForerunError `template` when a value would begin a new line. */
export function renderLineTemplate(template: Template, values: Values): string {
  return renderTemplate(template, values, {
    place(value, { name }) {
      if (/[\n\r\0]/.test(value)) {
        throw new ForerunError(
          'template',
          `The value of '${name}' has a line break, which '${template.file}' cannot hold`,
          {
            hint: `Give a value of one line: --set ${name}=VALUE`,
          },
        )
      }
      return value
    },
  })
}

const placeholder = /\$(?:(?<escaped>\$)|(?<named>[_a-zA-Z][_a-zA-Z0-9]*)|\{(?<braced>[_a-zA-Z][_a-zA-Z0-9]*)\})?/g

function strayDollar({ text, file, offset }: { text: string; file: string; offset: number }): ForerunError {
  const { line, column } = textPosition(text, offset)
  return new ForerunError('template', `The template file '${file}' has a stray '$' at line ${line}, column ${column}`, {
    hint: 'A variable is $ and a name, in braces or not; a dollar sign itself is written $$.',
  })
}

function missingValue(template: Template, values: Values, name: string): ForerunError {
  const missing = templateVariables(template).filter((variable) => !values.has(variable))
  const shown = missing.slice(0, mostShown).map((variable) => `--set ${variable}=VALUE`)
  return new ForerunError(
    'template',
    `The template file '${template.file}' still contains an unreplaced value for: ''${name}''`,
    { hint: `Set it: ${shown.join(' ')}${missing.length > mostShown ? ' …' : ''}` },
  )
}

/** Variables that one message names. */
export const mostShown = 20
