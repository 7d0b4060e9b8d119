/** Line and column, both from 1, of an offset in a text, as editors count them. */
export interface TextPosition {
  readonly line: number
  readonly column: number
}

export function textPosition(text: string, offset: number): TextPosition {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: [...before.slice(lineStart)].length + 1 }
}
