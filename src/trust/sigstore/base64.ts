/** Standard base64 with its padding, in one line or several, and nothing else; undefined for all other text. */
export function decodeBase64(text: string): Buffer | undefined {
  const line = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text
  const bytes = Buffer.from(line, 'base64')
  // Node reads on past what it does not know. No regular expression takes megabytes.
  return bytes.toString('base64') === line ? bytes : undefined
}
