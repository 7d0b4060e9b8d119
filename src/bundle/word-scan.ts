/** Where one is in a line of words, as systemd reads them (systemd.syntax(7), "Quoting"). */
export interface WordScan {
  quote: '"' | "'" | undefined
  /** The last character was a backslash that takes the next one. */
  escaped: boolean
  inWord: boolean
  /** How many words have ended. */
  finished: number
}

export function newWordScan(): WordScan {
  return { quote: undefined, escaped: false, inWord: false, finished: 0 }
}

/** Goes over a text of the line. Other text that has been written as a word or a part of one is told with `inWord`. */
export function scanWords(scan: WordScan, text: string): void {
  for (const character of text) {
    const isBlank = /\s/.test(character)
    if (scan.escaped) scan.escaped = false
    else if (character === '\\') scan.escaped = true
    else if (scan.quote !== undefined) {
      if (character === scan.quote) scan.quote = undefined
    } else if (character === '"' || character === "'") scan.quote = character
    else if (isBlank) {
      if (scan.inWord) scan.finished++
      scan.inWord = false
      continue
    }
    scan.inWord = true
  }
}

/** A text as a part of a word in quotes. */
export function insideQuotes(text: string, quote: '"' | "'"): string {
  return text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)
}
