import { ForerunError } from '../errors.ts'

/**
 * Bytes of one text of an image that is read whole: a template, `manifest.json`, `/etc/passwd`, a page of help. Those of real
 * images have some kilobytes. Parsed, a text may take a hundred times its bytes, and no command is to need more than 200 MB.
 * What a template renders to may have no more, either.
 */
export const largestText = 1024 * 1024

/** Bytes of all texts that are read of an image, and of all that is rendered for the host. */
export const largestTexts = 16 * 1024 * 1024

/** Levels of lists and objects in JSON. Runtime configurations have ten; what reads and writes JSON takes stack for each. */
export const deepestJson = 128

/** @param file its path in the image. @throws ForerunError `limit` for a text with more bytes than `largestText`. */
export function refuseLargeText(file: string, size: number): void {
  if (size > largestText) throw overLimit(`The file '${file}' of the image`, `more than ${largestText} bytes`)
}

/** @throws ForerunError `limit` for JSON, well formed or not, with more levels than `deepestJson`. */
export function refuseDeepJson(document: string, json: string): void {
  if (isTooDeep(json)) throw overLimit(document, `more than ${deepestJson} levels of lists and objects`)
}

/** Counts the bytes of texts that are read one after another. @param texts in the plural. @throws ForerunError `limit` */
export function textBudget(texts: string): (size: number) => void {
  let sum = 0
  return (size) => {
    sum += size
    if (sum > largestTexts) throw overLimit(texts, `more than ${largestTexts} bytes together`, 'have')
  }
}

/** The error for what is over a limit. */
export function overLimit(subject: string, what: string, verb: 'has' | 'have' = 'has'): ForerunError {
  return new ForerunError('limit', `${subject} ${verb} ${what}`, {
    hint: 'No image needs that much: check how it was built.',
  })
}

function isTooDeep(json: string): boolean {
  let depth = 0
  let isInString = false
  for (let at = 0; at < json.length; at++) {
    const character = json[at]
    if (isInString && character === '\\') at++
    else if (character === '"') isInString = !isInString
    else if (!isInString && (character === '[' || character === '{') && ++depth > deepestJson) return true
    else if (!isInString && (character === ']' || character === '}')) depth--
  }
  return false
}
