import { printable } from './printable.ts'

/**
 * Aligned columns, two spaces apart; no line ends in spaces, and none in a line break. A row may have fewer cells than
 * there are headings. Without rows and heading the text is empty.
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { heading }: { heading: boolean },
): string {
  const cells = rows.map((row) => row.map(printable))
  const lines = heading ? [headings, ...cells] : cells
  // One without a heading is for marks, and is there also where nothing is marked.
  const least = headings.map((text) => (text === '' ? 1 : 0))
  const widths = least.map((width, column) => Math.max(width, ...lines.map((line) => displayWidth(line[column] ?? ''))))
  return lines.map((line) => alignedLine(line, widths)).join('\n')
}

function alignedLine(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(cell))))
  return padded.join('  ').trimEnd()
}

/** Letters with their accents count as one; good enough for what images are called. */
function displayWidth(text: string): number {
  return text.normalize('NFC').length
}
