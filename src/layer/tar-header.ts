import type { ByteString } from '../tree/entry.ts'
import { LayerFault } from './fault.ts'

export const blockSize = 512

/** The fields of a header block, as they stand: extended headers may override them. */
export interface TarHeader {
  /** The type flag, one character; NUL is that of a file in archives older than POSIX. */
  readonly type: string
  readonly name: ByteString
  readonly linkName: ByteString
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes that follow, without padding, if the type has any. */
  readonly size: number
  /** Seconds since the epoch. */
  readonly mtime: number
  readonly major: number
  readonly minor: number
}

/**
 * Parses a block that is not zero: v7, ustar (POSIX.1-1988), star, and both GNU formats.
 *
 * @throws LayerFault when the checksum or a number is wrong.
 */
export function parseTarHeader(block: Buffer): TarHeader {
  if (!hasValidChecksum(block)) throw new LayerFault('no tar header (its checksum is wrong)')
  const format = headerFormat(block)
  const name = text(block, 0, 100)
  const prefix = namePrefix(block, format)
  return {
    type: block.toString('latin1', 156, 157),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 257),
    mode: number(block, 100, 108),
    uid: number(block, 108, 116),
    gid: number(block, 116, 124),
    size: number(block, 124, 136),
    mtime: number(block, 136, 148),
    // Only the later formats have these fields, and some writers leave rubbish in them.
    major: format === 'v7' || !isDevice(block) ? 0 : number(block, 329, 337),
    minor: format === 'v7' || !isDevice(block) ? 0 : number(block, 337, 345),
  }
}

/** Whether the block could be a header: the sum of its bytes, taken as unsigned or (old Suns) as signed ones, is right. */
export function hasValidChecksum(block: Buffer): boolean {
  let unsigned = 8 * 0x20
  let negative = 0
  for (let index = 0; index < blockSize; index++) {
    if (index === 148) index = 156
    const byte = block[index] as number
    unsigned += byte
    if (byte > 0x7f) negative++
  }
  const stored = parseOctal(block, 148, 156)
  return stored === unsigned || stored === unsigned - 256 * negative
}

export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(zeroBlock)
}

const zeroBlock = Buffer.alloc(blockSize)

/**
 * A numeric field: octal digits, or a big-endian two's complement in base 256 when its first bit is set.
 *
 * @throws LayerFault
 */
export function number(block: Buffer, start: number, end: number): number {
  const value = tryNumber(block, start, end)
  if (value === undefined) throw new LayerFault(`a header field that is no number (byte ${start} of the header)`)
  return value
}

function tryNumber(block: Buffer, start: number, end: number): number | undefined {
  const first = block[start] as number
  if ((first & 0x80) === 0) return parseOctal(block, start, end)
  const negative = (first & 0x40) !== 0
  let value = negative ? (first | 0x80) - 0x100 : first & 0x3f
  for (let index = start + 1; index < end; index++) value = value * 256 + (block[index] as number)
  return Number.isSafeInteger(value) ? value : undefined
}

/** Spaces and NULs around the digits are padding; a field of nothing else is 0. */
function parseOctal(block: Buffer, start: number, end: number): number | undefined {
  let at = start
  while (at < end && isPadding(block[at] as number)) at++
  let value = 0
  for (; at < end; at++) {
    const digit = (block[at] as number) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  while (at < end && isPadding(block[at] as number)) at++
  return at === end ? value : undefined
}

function isPadding(byte: number): boolean {
  return byte === 0x20 || byte === 0
}

type Format = 'v7' | 'ustar' | 'star' | 'gnu'

function headerFormat(block: Buffer): Format {
  const magic = block.toString('latin1', 257, 265)
  if (magic === 'ustar  \0') return 'gnu'
  if (!magic.startsWith('ustar\0')) return 'v7'
  return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar'
}

function namePrefix(block: Buffer, format: Format): ByteString {
  switch (format) {
    case 'v7':
      return ''
    case 'ustar':
      return text(block, 345, 500)
    case 'star':
      return text(block, 345, 476)
    case 'gnu':
      return misplacedPrefix(block)
  }
}

/**
 * GNU's older format has times where ustar has the prefix. Docker up to 2017 (Go before 1.8) wrote a prefix there all
 * the same: what is no time, and is ASCII text, is one.
 */
function misplacedPrefix(block: Buffer): ByteString {
  if (tryNumber(block, 345, 357) !== undefined && tryNumber(block, 357, 369) !== undefined) return ''
  const prefix = text(block, 345, 500)
  return /^[\x20-\x7e]*$/.test(prefix) ? prefix : ''
}

function isDevice(block: Buffer): boolean {
  return block[156] === 0x33 || block[156] === 0x34
}

/** Up to the first NUL. */
function text(block: Buffer, start: number, end: number): ByteString {
  const nul = block.indexOf(0, start)
  return block.toString('latin1', start, nul === -1 || nul > end ? end : nul)
}
