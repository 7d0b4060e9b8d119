import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkGpgStatus } from '../../src/trust/gpgv-status.ts'
import { SignatureFault } from '../../src/trust/signature-fault.ts'

const key = '504FFC7B682A33B1'
const fingerprint = `58523CCBE45818AB6A8DAEF2${key}`
const plaintext = 'PLAINTEXT 62 1795490663 '
const goodsig = `GOODSIG ${key} ann <ann@example.com>`
const validsig = `VALIDSIG ${fingerprint} 2026-11-24 1795490663 0 4 0 22 8 00 ${fingerprint}`

/** As gpgv prints it. */
function status(...lines: string[]): string {
  return lines.map((line) => `[GNUPG:] ${line}\n`).join('')
}

const good = [plaintext, 'PLAINTEXT_LENGTH 8', 'NEWSIG a@x', `KEY_CONSIDERED ${fingerprint} 0`, goodsig, validsig]

test('one good signature over one text', () => {
  checkGpgStatus(status(...good))
  // Of another key in the ring.
  checkGpgStatus(status('KEYEXPIRED 1577836800', ...good))
})

const stories: [string, string[], RegExp][] = [
  ['nothing', [], /exactly one/],
  ['no text', good.filter((line) => line !== plaintext), /exactly one/],
  ['two texts', [plaintext, ...good], /exactly one/],
  ['no signature begun', good.filter((line) => !line.startsWith('NEWSIG')), /exactly one/],
  ['two signatures, both good', [...good, 'NEWSIG', goodsig, validsig], /exactly one/],
  ['a good signature that is not valid', good.filter((line) => line !== validsig), /exactly one/],
  ['a valid signature that is not good', good.filter((line) => line !== goodsig), /exactly one/],
  ['a signature over changed line ends', [...good.slice(0, -1), validsig.replace(' 00 ', ' 01 ')], /exactly one/],
  ['a signature of another kind', [...good.slice(0, -1), validsig.replace(' 00 ', ' 10 ')], /exactly one/],
  ['a bad one beside a good one', [...good, `BADSIG ${key} ann`], /was damaged or forged/],
  ['an expired one beside a good one', [...good, `EXPSIG ${key} ann`], /has expired/],
  ['an expired key', [...good, `EXPKEYSIG ${key} ann`], /has expired/],
  ['a revoked key', [...good, `REVKEYSIG ${key} ann`], /was revoked/],
  ['an unknown key', [`ERRSIG ${key} 22 8 00 1795490663 9 -`], /^is by an unknown key 504FFC7B682A33B1$/],
  ['an unknown algorithm', [`ERRSIG ${key} 99 8 00 1795490663 4 -`], /cannot be checked/],
  ['an error that has no meaning here', [...good, 'ERROR verify 1'], /exactly one/],
  ['a failure', [...good, 'FAILURE gpgv 1'], /exactly one/],
  ['a key that is no number', ['BADSIG x\u001b[31m'], /the key \? signed/],
]

for (const [title, lines, fault] of stories) {
  test(`${title} does not count`, () => {
    assert.throws(
      () => checkGpgStatus(status(...lines)),
      (error) => error instanceof SignatureFault && fault.test(error.message),
    )
  })
}

test("lines that are not gpg's own do not count", () => {
  const lines = good.map((line) => `${line}\n`).join('')
  assert.throws(() => checkGpgStatus(lines), SignatureFault)
  assert.throws(() => checkGpgStatus(status(...good).replaceAll('[GNUPG:]', ' [GNUPG:]')), SignatureFault)
})
