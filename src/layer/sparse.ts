import type { LayerReceiver } from '../tree/entry.ts'
import { LayerFault } from './fault.ts'
import { type PaxRecords, paxNumber } from './pax.ts'
import { number } from './tar-header.ts'

/** Where the stored bytes of a sparse file lie in it: offset, length, offset, length, … */
export type SparseMap = number[]

/**
 * Passes stored bytes on as `content`, with a `hole` wherever the map has none; returns what takes the bytes. Once all
 * are taken, the hole at the end has been passed on too.
 *
 * @throws LayerFault when the map is not in order, leaves the file, or is not of as many bytes as are stored.
 */
export function sparseContent(
  map: SparseMap,
  { size, stored }: { size: number; stored: number },
  receiver: LayerReceiver,
): (bytes: Buffer) => void {
  checkMap(map, { size, stored })
  let index = 0
  let position = 0
  const skipTo = (offset: number) => {
    if (offset > position) receiver.hole(offset - position)
    position = offset
  }
  const skipHoles = () => {
    while (index < map.length && position === segmentEnd(map, index)) index += 2
    if (index === map.length) skipTo(size)
    else if (position < (map[index] as number)) skipTo(map[index] as number)
  }
  const take = (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; skipHoles()) {
      const length = Math.min(bytes.length - at, segmentEnd(map, index) - position)
      receiver.content(bytes.subarray(at, at + length))
      at += length
      position += length
    }
  }
  dropEmptySegments(map)
  skipHoles()
  return take
}

function checkMap(map: SparseMap, { size, stored }: { size: number; stored: number }): void {
  let end = 0
  let sum = 0
  for (let index = 0; index < map.length; index += 2) {
    const offset = map[index] as number
    if (offset < end || (map[index + 1] as number) < 0) throw new LayerFault('a sparse map that is not in order')
    end = segmentEnd(map, index)
    sum += map[index + 1] as number
  }
  if (end > size) throw new LayerFault('a sparse map that goes beyond the end of its file')
  if (sum !== stored) throw new LayerFault(`a sparse map of ${sum} bytes where ${stored} are stored`)
}

function segmentEnd(map: SparseMap, index: number): number {
  return (map[index] as number) + (map[index + 1] as number)
}

/** Writers end a map with one to state the file's size. */
function dropEmptySegments(map: SparseMap): void {
  let kept = 0
  for (let index = 0; index < map.length; index += 2) {
    if (map[index + 1] === 0) continue
    map[kept] = map[index] as number
    map[kept + 1] = map[index + 1] as number
    kept += 2
  }
  map.length = kept
}

/**
 * Adds the entries of a header block of GNU's older format, or of a block that extends it (GNU tar manual, "Storing
 * Sparse Files"). @returns whether another block of entries follows.
 */
export function readSparseBlock(map: SparseMap, block: Buffer, kind: 'header' | 'extension'): boolean {
  const start = kind === 'header' ? 386 : 0
  const end = start + (kind === 'header' ? 4 : 21) * 24
  for (let at = start; at < end && block[at] !== 0; at += 24) {
    addNumber(map, number(block, at, at + 12))
    addNumber(map, number(block, at + 12, at + 24))
  }
  return block[end] !== 0
}

/** The file's size in a header of GNU's older format. */
export function sparseFileSize(block: Buffer): number {
  return number(block, 483, 495)
}

/** What extended headers say of a sparse file; undefined when the file is not sparse. Versions 0.0, 0.1 and 1.0. */
export interface PaxSparse {
  /** undefined in version 1.0: the map comes before the content. */
  readonly map: SparseMap | undefined
  readonly size: number
}

/** @throws LayerFault */
export function paxSparse(records: PaxRecords): PaxSparse | undefined {
  const map: SparseMap = []
  let size: number | undefined
  let sparse = false
  let major = 0
  for (const [keyword, value] of records) {
    if (!keyword.startsWith('GNU.sparse.') || keyword === 'GNU.sparse.name') continue
    sparse = true
    if (keyword === 'GNU.sparse.major') major = paxNumber(keyword, value)
    else if (keyword === 'GNU.sparse.size' || keyword === 'GNU.sparse.realsize') size = paxNumber(keyword, value)
    else if (keyword === 'GNU.sparse.offset' || keyword === 'GNU.sparse.numbytes')
      addNumber(map, paxNumber(keyword, value))
    else if (keyword === 'GNU.sparse.map' && value.length > 0) {
      for (const digits of value.toString('latin1').split(','))
        addNumber(map, paxNumber(keyword, Buffer.from(digits, 'latin1')))
    }
  }
  if (!sparse) return undefined
  if (size === undefined || major > 1 || map.length % 2 !== 0) throw new LayerFault('a malformed sparse file')
  return { size, map: major === 1 ? undefined : map }
}

/** Reads the map of version 1.0: decimal numbers, a line each, the first one how many pairs follow; padded to a block. */
export interface SparseMapReader {
  /** @returns the map once it is complete. @throws LayerFault */
  block(block: Buffer): SparseMap | undefined
}

export function sparseMapReader(): SparseMapReader {
  const numbers: number[] = []
  let rest = ''
  return {
    block(block) {
      const lines = (rest + block.toString('latin1')).split('\n')
      rest = lines.pop() as string
      for (const line of lines) {
        if (numbers.length > 0 && numbers.length === 1 + 2 * (numbers[0] as number)) break
        addNumber(numbers, paxNumber('sparse map', Buffer.from(line, 'latin1')))
      }
      if (rest.length > blockSizeOfDigits && numbers.length !== 1 + 2 * (numbers[0] ?? Number.NaN)) {
        throw new LayerFault('a malformed sparse map')
      }
      return numbers.length === 1 + 2 * (numbers[0] ?? Number.NaN) ? numbers.slice(1) : undefined
    },
  }
}

/** More digits than any number has. */
const blockSizeOfDigits = 20

function addNumber(numbers: number[], number: number): void {
  if (numbers.length > maximumNumbers) throw new LayerFault('a sparse file of too many pieces')
  numbers.push(number)
}

/** A quarter of a million pieces: some megabytes of memory at worst. */
const maximumNumbers = 2 * 2 ** 18
