/** Standard base64 with its padding, and nothing else; undefined for all other text. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  // Node reads on past what it does not know. No regular expression takes megabytes.
  return bytes.toString('base64') === text ? bytes : undefined
}
