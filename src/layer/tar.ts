import type { LayerLimits, LayerTotals } from '../image/layer-limits.ts'
import { displayPath, type LayerReceiver } from '../tree/entry.ts'
import { checkImageTotals, LayerFault, layerError } from './fault.ts'
import { mergePaxRecords, type PaxRecords, parsePaxRecords } from './pax.ts'
import { paxSparse, readSparseBlock, type SparseMap, sparseContent, sparseFileSize, sparseMapReader } from './sparse.ts'
import { layerEntry, type TarMember, tarMember } from './tar-entry.ts'
import { blockSize, hasValidChecksum, isZeroBlock, parseTarHeader, type TarHeader } from './tar-header.ts'

/** Takes an archive in pieces of any size. Both functions throw ForerunError `layer` and `limit`, and what the receiver throws. */
export interface TarReader {
  /** How many entries the receiver has got. */
  readonly entries: number
  write(bytes: Buffer): void
  /** To be called once, after the last bytes. */
  end(): void
}

/**
 * Reads v7, ustar, pax, star and GNU archives, exactly: names and attributes are bytes, times have nanoseconds, sparse
 * files their holes (POSIX.1-2017, pax, "EXTENDED DESCRIPTION"; GNU tar manual, "Tar Internals"). An archive ends with
 * two zero blocks, after which anything may follow, or where its bytes end, if that is between two entries.
 *
 * Where writers differ, it reads as Go's archive/tar does, which made most images.
 *
 * @param options.layer what errors call the layer: its digest.
 * @param options.others what is known of other layers of the image.
 */
export function tarReader(
  receiver: LayerReceiver,
  { layer, limits, others = { entries: 0, size: 0 } }: { layer: string; limits: LayerLimits; others?: LayerTotals },
): TarReader {
  let entries = 0
  let fileBytes = 0
  /** Of the first byte that was not yet taken. */
  let position = 0
  let holes = 0
  let takeBlock: (block: Buffer) => void = takeHeader
  let mapPending = false
  const partialBlock = Buffer.allocUnsafe(blockSize)
  let partialLength = 0
  let body: Body | undefined
  let bodyLeft = 0
  let padding = 0
  let ended = false
  let globals: PaxRecords = []
  let extensions = noExtensions

  function write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const left = bytes.length - at
      const before = at
      if (ended) at = bytes.length
      else if (body !== undefined) {
        const length = Math.min(bodyLeft, left)
        body.take(bytes.subarray(at, at + length))
        bodyLeft -= length
        at += length
        if (bodyLeft === 0) endBody()
      } else if (padding > 0) {
        const length = Math.min(padding, left)
        padding -= length
        at += length
      } else if (partialLength === 0 && left >= blockSize) {
        takeBlock(bytes.subarray(at, at + blockSize))
        at += blockSize
      } else {
        const length = bytes.copy(partialBlock, partialLength, at, at + blockSize - partialLength)
        partialLength += length
        at += length
        if (partialLength === blockSize) {
          partialLength = 0
          takeBlock(partialBlock)
        }
      }
      position += at - before
      checkSize()
    }
  }

  function end(): void {
    if (ended) return
    if (body !== undefined || padding > 0 || partialLength > 0 || mapPending || extensions !== noExtensions) {
      throw new LayerFault('the archive is truncated')
    }
  }

  function takeHeader(block: Buffer): void {
    if (isZeroBlock(block)) {
      takeBlock = takeAfterZero
      return
    }
    const header = parseTarHeader(block)
    const { type, size } = header
    if (type === 'g') collect(size, takeGlobals)
    // `X` is Solaris' from before the standard.
    else if (type === 'x' || type === 'X') collect(size, (bytes) => extend({ records: parsePaxRecords(bytes) }))
    else if (type === 'L') collect(size, (bytes) => extend({ longName: untilNul(bytes) }))
    else if (type === 'K') collect(size, (bytes) => extend({ longLink: untilNul(bytes) }))
    // The label of a GNU volume is no file.
    else if (type === 'V') startBody(nothing, size)
    else takeMember(header, block)
  }

  function takeAfterZero(block: Buffer): void {
    if (!isZeroBlock(block)) throw new LayerFault('a block of zeros between entries')
    if (extensions !== noExtensions) throw new LayerFault('an extended header without an entry')
    ended = true
  }

  function collect(size: number, use: (bytes: Buffer) => void): void {
    if (size < 0) throw new LayerFault('an extended header of a negative size')
    checkExtendedHeaderSize(size)
    const bytes = Buffer.allocUnsafe(size)
    let length = 0
    const take = (piece: Buffer) => {
      length += piece.copy(bytes, length)
    }
    startBody({ take, end: () => use(bytes) }, size)
  }

  function extend(more: Partial<typeof noExtensions>): void {
    const records = more.records === undefined ? extensions.records : [...extensions.records, ...more.records]
    extensions = { ...extensions, ...more, records }
  }

  function takeGlobals(bytes: Buffer): void {
    globals = mergePaxRecords(globals, parsePaxRecords(bytes))
    checkExtendedHeaderSize(globals.reduce((sum, [keyword, value]) => sum + keyword.length + value.length, 0))
  }

  function takeMember(header: TarHeader, block: Buffer): void {
    const records = globals.length === 0 ? extensions.records : [...globals, ...extensions.records]
    const member = tarMember(header, { ...extensions, records }, limits)
    const sparse = member.kind === 'file' && header.type !== 'S' ? paxSparse(extensions.records) : undefined
    extensions = noExtensions
    if (++entries > limits.entries) {
      throw new LayerFault(`more than ${limits.entries} entries`, { limit: 'entries' })
    }
    checkImage()
    if (header.type === 'S') takeOldSparse(member, block)
    else if (sparse !== undefined && sparse.map === undefined) takeSparseMap(member, sparse.size)
    else if (sparse?.map !== undefined) startFile(member, sparse.size, sparse.map)
    else if (member.kind === 'file') startFile(member, member.stored)
    else takeBodiless(member, header)
  }

  /** The map is in the header and in the blocks after it. */
  function takeOldSparse(member: TarMember, block: Buffer): void {
    const map: SparseMap = []
    const size = sparseFileSize(block)
    const takeMap = (part: Buffer, kind: 'header' | 'extension') => {
      const more = readSparseBlock(map, part, kind)
      takeBlock = more ? (next) => takeMap(next, 'extension') : takeHeader
      mapPending = more
      if (!more) startFile(member, size, map)
    }
    takeMap(block, 'header')
  }

  /** The map is at the beginning of what is stored. */
  function takeSparseMap(member: TarMember, size: number): void {
    const reader = sparseMapReader()
    let stored = member.stored
    mapPending = true
    takeBlock = (block) => {
      stored -= blockSize
      if (stored < 0) throw new LayerFault(`${describe(member)} with a malformed sparse map`)
      const map = reader.block(block)
      if (map === undefined) return
      takeBlock = takeHeader
      mapPending = false
      startFile({ ...member, stored }, size, map)
    }
  }

  function startFile(member: TarMember, size: number, map?: SparseMap): void {
    if (size < 0 || size > limits.fileSize) {
      throw new LayerFault(`${describe(member)} of ${size} bytes (${limits.fileSize} are allowed)`, {
        limit: 'fileSize',
      })
    }
    if (map !== undefined) holes += size - member.stored
    fileBytes += size
    checkSize()
    checkImage()
    receiver.entry(layerEntry(member, size))
    const take = map === undefined ? content : sparseContent(map, { size, stored: member.stored }, receiver)
    startBody({ take, end: () => receiver.endFile() }, member.stored)
  }

  function content(bytes: Buffer): void {
    receiver.content(bytes)
  }

  /**
   * Links, directories and devices have no content, whatever their size says: so read Go and GNU tar. But pax may store
   * a link's content (`-o linkdata`), which then stands where the next header should.
   */
  function takeBodiless(member: TarMember, header: TarHeader): void {
    receiver.entry(layerEntry(member, 0))
    if (header.type === 'D') startBody(nothing, member.stored)
    else if (member.stored > 0) takeBlock = (block) => takeHeaderOrLinkData(block, member.stored)
  }

  function takeHeaderOrLinkData(block: Buffer, stored: number): void {
    takeBlock = takeHeader
    if (isZeroBlock(block) || hasValidChecksum(block)) takeHeader(block)
    else if (stored > blockSize) {
      startBody(nothing, stored)
      bodyLeft -= blockSize
    }
  }

  function startBody(given: Body, size: number): void {
    if (size < 0) throw new LayerFault('an entry of a negative size')
    body = given
    bodyLeft = size
    padding = (blockSize - (size % blockSize)) % blockSize
    if (size === 0) endBody()
  }

  function endBody(): void {
    const { end } = body as Body
    body = undefined
    end()
  }

  function checkExtendedHeaderSize(size: number): void {
    if (size > limits.extendedHeaderSize) {
      throw new LayerFault(`an extended header of ${size} bytes (${limits.extendedHeaderSize} are allowed)`, {
        limit: 'extendedHeaderSize',
      })
    }
  }

  function checkSize(): void {
    if (position + holes > limits.layerSize) {
      throw new LayerFault(`more than ${limits.layerSize} bytes`, { limit: 'layerSize' })
    }
  }

  function checkImage(): void {
    checkImageTotals({ entries: others.entries + entries, size: others.size + fileBytes }, limits)
  }

  /** Says which layer, and where. */
  function located<Arguments extends unknown[]>(act: (...given: Arguments) => void): (...given: Arguments) => void {
    return (...given) => {
      try {
        act(...given)
      } catch (error) {
        throw error instanceof LayerFault
          ? layerError(error, { layer, where: `byte ${position} of its archive` })
          : error
      }
    }
  }

  return {
    get entries() {
      return entries
    },
    write: located(write),
    end: located(end),
  }
}

interface Body {
  take(bytes: Buffer): void
  /** When `size` bytes have been taken. */
  end(): void
}

const nothing: Body = { take() {}, end() {} }

const noExtensions: { records: PaxRecords; longName: string | undefined; longLink: string | undefined } = {
  records: [],
  longName: undefined,
  longLink: undefined,
}

function untilNul(bytes: Buffer): string {
  const nul = bytes.indexOf(0)
  return bytes.toString('latin1', 0, nul === -1 ? bytes.length : nul)
}

function describe(member: TarMember): string {
  return `'${displayPath(member.path)}'`
}
