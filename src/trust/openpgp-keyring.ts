import { ForerunError } from '../errors.ts'

/**
 * A keyring in the binary form that gpgv reads. Armored keys (RFC 9580, section 6.2), one or several in a file, become one keyring.
 *
 * @param name of the file, for the error.
 * @throws ForerunError `policy` when there are no public keys in it.
 */
export function binaryKeyring(bytes: Buffer, { name }: { name: string }): Buffer {
  if (isBinary(bytes)) return bytes
  const blocks = [...bytes.toString('latin1').matchAll(armor)].map(([, body = '']) => dearmored(body))
  if (blocks.length > 0 && blocks.every((block) => block !== undefined)) return Buffer.concat(blocks)
  throw new ForerunError('policy', `the key ${name}, which policy.json names, holds no public keys of OpenPGP`, {
    hint: 'Write one with: gpg --export --armor KEY',
  })
}

/** Packets begin with a set bit; keyboxes, GnuPG's own files, have their name at byte 8. */
function isBinary(bytes: Buffer): boolean {
  return ((bytes[0] ?? 0) & 0x80) !== 0 || bytes.toString('latin1', 8, 12) === 'KBXf'
}

const armor = /-----BEGIN PGP PUBLIC KEY BLOCK-----([^-]*)-----END PGP PUBLIC KEY BLOCK-----/g

/** After the headers comes an empty line; the last line, with `=`, is a checksum that nobody needs. */
function dearmored(body: string): Buffer | undefined {
  const lines = body.split(/\r?\n/).map((line) => line.trim())
  const start = lines.findIndex((line, index) => index > 0 && line === '')
  const text = lines.slice(start + 1).filter((line) => line !== '' && !line.startsWith('='))
  const base64 = text.join('')
  return start < 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? undefined : Buffer.from(base64, 'base64')
}
