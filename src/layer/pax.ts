import type { ByteString, Timestamp } from '../tree/entry.ts'
import { LayerFault } from './fault.ts'

/** Records in their order; a keyword may come again (GNU's first sparse format). An empty value takes a record back. */
export type PaxRecords = readonly (readonly [keyword: ByteString, value: Buffer])[]

/**
 * Parses the body of an extended header (POSIX.1-2001, pax, "pax Extended Header"): `LENGTH KEYWORD=VALUE\n`, where the
 * value is LENGTH bytes of anything, newlines and NULs included. The values are slices of the body.
 *
 * @throws LayerFault
 */
export function parsePaxRecords(body: Buffer): PaxRecords {
  const records: [ByteString, Buffer][] = []
  for (let start = 0; start < body.length; ) {
    const space = body.indexOf(0x20, start)
    const digits = body.toString('latin1', start, space === -1 ? start : Math.min(space, start + 12))
    const end = start + (/^[0-9]+$/.test(digits) ? Number(digits) : 0)
    const equals = body.indexOf(0x3d, space)
    if (end > body.length || equals <= space + 1 || equals >= end || body[end - 1] !== 0x0a) {
      throw new LayerFault('a malformed record in an extended header')
    }
    records.push([body.toString('latin1', space + 1, equals), body.subarray(equals + 1, end - 1)])
    start = end
  }
  return records
}

/** Global records with later ones put over them. */
export function mergePaxRecords(records: PaxRecords, later: PaxRecords): PaxRecords {
  return [...new Map([...records, ...later])].filter(([, value]) => value.length > 0)
}

/** A name: no NUL, which would end it for the kernel. @throws LayerFault */
export function paxText(keyword: string, value: Buffer): ByteString {
  if (value.includes(0)) throw new LayerFault(`a NUL in the record '${keyword}' of an extended header`)
  return value.toString('latin1')
}

/** A whole number, 0 or more. @throws LayerFault */
export function paxNumber(keyword: string, value: Buffer): number {
  const digits = value.toString('latin1')
  const number = /^[0-9]{1,16}$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(number)) {
    throw new LayerFault(`no number in the record '${keyword}' of an extended header`)
  }
  return number
}

/** Seconds with any number of decimals, of which nine count; also before the epoch. @throws LayerFault */
export function paxTime(keyword: string, value: Buffer): Timestamp {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value.toString('latin1'))
  if (match === null) throw new LayerFault(`no time in the record '${keyword}' of an extended header`)
  const seconds = Number(match[2])
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (match[1] === '') return { seconds, nanoseconds }
  if (nanoseconds === 0) return { seconds: 0 - seconds, nanoseconds }
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds }
}

/** The extended attribute that a record is, if it is one, as star and Go write it: the value as it is. */
export function schilyAttribute(keyword: ByteString, value: Buffer): [name: ByteString, value: Buffer] | undefined {
  if (!keyword.startsWith('SCHILY.xattr.')) return undefined
  return [keyword.slice('SCHILY.xattr.'.length), value]
}

/** The same as libarchive writes it: a percent-encoded name and a value in base 64. */
export function libarchiveAttribute(keyword: ByteString, value: Buffer): [name: ByteString, value: Buffer] | undefined {
  if (!keyword.startsWith('LIBARCHIVE.xattr.')) return undefined
  const name = keyword
    .slice('LIBARCHIVE.xattr.'.length)
    .replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return [name, Buffer.from(value.toString('latin1'), 'base64')]
}
