import { SignatureFault } from './signature-fault.ts'

/**
 * Reads what gpgv or gpg said on its status descriptor (GnuPG's doc/DETAILS). Only one whole story counts: one message
 * of one plaintext, with one binary signature, good, by a key and signature that are neither expired nor revoked.
 *
 * @throws SignatureFault when it is any other.
 */
export function checkGpgStatus(text: string): void {
  const lines = text.split('\n').flatMap((line) => (line.startsWith('[GNUPG:] ') ? [line.slice(9).split(' ')] : []))
  const seen = (word: string): string[][] => lines.filter(([keyword]) => keyword === word)
  for (const [keyword, phrase] of faults) {
    const [found] = seen(keyword)
    if (found !== undefined) throw new SignatureFault(phrase(found))
  }
  const counts = ['NEWSIG', 'PLAINTEXT', 'GOODSIG', 'VALIDSIG'].map((keyword) => seen(keyword).length)
  if (counts.some((count) => count !== 1)) throw new SignatureFault(malformed)
  // The last but two tells the kind of signature: 00 is over bytes as they are, 01 over text with its line ends changed.
  if (seen('VALIDSIG')[0]?.[9] !== '00') throw new SignatureFault(malformed)
}

const malformed = 'is no OpenPGP message with exactly one signature'

/** In the order in which they tell most. */
const faults: readonly [string, (words: readonly string[]) => string][] = [
  ['NODATA', () => malformed],
  ['BADARMOR', () => malformed],
  ['BADSIG', ([, key]) => `was damaged or forged: it is not what the key ${keyId(key)} signed`],
  [
    'ERRSIG',
    ([, key, , , , , code]) =>
      code === '9'
        ? `is by an unknown key ${keyId(key)}`
        : `cannot be checked: key ${keyId(key)}, error ${keyId(code)}`,
  ],
  ['REVKEYSIG', ([, key]) => `is by the key ${keyId(key)}, which was revoked`],
  ['EXPKEYSIG', ([, key]) => `is by the key ${keyId(key)}, which has expired`],
  ['EXPSIG', ([, key]) => `by the key ${keyId(key)} has expired`],
  ['FAILURE', () => malformed],
  ['ERROR', () => malformed],
  ['UNEXPECTED', () => malformed],
]

function keyId(word: string | undefined): string {
  return /^[0-9A-F]{1,64}$/.test(word ?? '') ? String(word) : '?'
}
