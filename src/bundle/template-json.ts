import { ForerunError } from '../errors.ts'
import { refuseDeepJson } from '../image/text-limits.ts'
import { readJson } from './json-text.ts'
import { mostShown, renderParts, type Template, type Values } from './template.ts'
import { textPosition } from './text-position.ts'

/**
 * Renders a template of JSON and reads the result. A value is escaped for the place where it lands: inside a string
 * literal of the template it becomes a part of that string whatever it holds; elsewhere it is a piece of JSON as it is.
 *
 * @returns the value that the JSON means, integers beyond 2^53 as bigints.
 * @throws ForerunError `template` when a variable has no value, or when the result is not JSON: with line and column in
 * the template, and the variables on that line; `limit` when it is too large or has too many levels.
 */
export function renderJsonTemplate(template: Template, values: Values): unknown {
  const inString = variablesInStrings(template)
  const rendered = renderParts(template, values, {
    place: (value, { offset }) => (inString.has(offset) ? JSON.stringify(value).slice(1, -1) : value),
  })
  const text = rendered.join('')
  refuseDeepJson(`The template file '${template.file}'`, text)
  const reading = readJson(text)
  if (!reading.valid) throw invalidJson(template, templateOffset(template, rendered, reading.offset), reading.problem)
  return reading.value
}

/** Reads a JSON file that is no template. @throws ForerunError of the given code, with line and column; `limit`. */
export function readJsonFile(text: string, file: string, options: { code: 'configuration' | 'exports' }): unknown {
  refuseDeepJson(`The file '${file}'`, text)
  const reading = readJson(text)
  if (reading.valid) return reading.value
  const { line, column } = textPosition(text, reading.offset)
  throw new ForerunError(
    options.code,
    `The file '${file}' is not valid JSON at line ${line}, column ${column}: ${reading.problem}`,
    { hint: 'Mend the file in the image and build the image anew.' },
  )
}

/** Offsets of the variables that stand inside a string literal of the template's own text. */
function variablesInStrings(template: Template): Set<number> {
  const offsets = new Set<number>()
  let inString = false
  let escaped = false
  for (const part of template.parts) {
    if (part.kind === 'variable') {
      if (inString) offsets.add(part.offset)
      escaped = false
      continue
    }
    for (const character of part.text) {
      if (escaped) escaped = false
      else if (inString && character === '\\') escaped = true
      else if (character === '"') inString = !inString
    }
  }
  return offsets
}

/** Where in the template an offset of the rendered text comes from; inside a value, where its variable begins. */
function templateOffset(template: Template, rendered: readonly string[], offset: number): number {
  let start = 0
  for (const [index, part] of template.parts.entries()) {
    const length = rendered[index]?.length ?? 0
    if (offset < start + length) return part.kind === 'text' ? part.offset + offset - start : part.offset
    start += length
  }
  return template.text.length
}

function invalidJson(template: Template, offset: number, problem: string): ForerunError {
  const { line, column } = textPosition(template.text, offset)
  const start = template.text.lastIndexOf('\n', offset - 1) + 1
  const next = template.text.indexOf('\n', offset)
  const end = next < 0 ? template.text.length : next
  const onLine = template.parts.flatMap((part) =>
    part.kind === 'variable' && part.offset >= start && part.offset < end ? [part.name] : [],
  )
  const variables = [...new Set(onLine)].slice(0, mostShown)
  const named = variables.length === 0 ? 'no variables on that line' : `variables on that line: ${variables.join(', ')}`
  return new ForerunError(
    'template',
    `The template file '${template.file}' renders to invalid JSON at line ${line}, column ${column}: ${problem} (${named})`,
    {
      hint:
        variables.length === 0
          ? 'Mend the template in the image and build the image anew.'
          : 'Check the values of these variables: outside a string a value has to be a piece of JSON.',
    },
  )
}
