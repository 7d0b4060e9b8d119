import { inflateRawSync, inflateSync } from 'node:zlib'
import { SignatureFault } from './signature-fault.ts'

/**
 * The packets of a signed message, decompressed: one announcement of a signature, the text, the signature, and nothing
 * before or after (RFC 9580, sections 4 and 10.3). gpgv overlooks what follows a compressed message; what two readers could read in two
 * ways is refused before it sees it.
 *
 * @throws SignatureFault
 */
export function signedMessagePackets(bytes: Buffer): Buffer {
  const outer = packets(bytes)
  const [first] = outer
  const inner = outer.length === 1 && first?.tag === tags.compressed ? decompress(first.body) : bytes
  const found = packets(inner).map(({ tag }) => tag)
  if (found.join() === [tags.onePassSignature, tags.literal, tags.signature].join()) return inner
  throw new SignatureFault('is no OpenPGP message with exactly one signature')
}

/** As many bytes as a signature may have, also decompressed; real ones have about 600. */
export const largestSignature = 4 * 1024 * 1024

const tags = { signature: 2, onePassSignature: 4, compressed: 8, literal: 11 }

interface Packet {
  readonly tag: number
  /** Without the lengths between the parts of a body that comes in parts. */
  readonly body: Buffer
}

function packets(bytes: Buffer): Packet[] {
  const found: Packet[] = []
  for (let at = 0; at < bytes.length; ) {
    const { packet, end } = packetAt(bytes, at)
    found.push(packet)
    at = end
    if (found.length > 3) break
  }
  return found
}

function packetAt(bytes: Buffer, start: number): { packet: Packet; end: number } {
  const header = byteAt(bytes, start)
  // Also what is armored, in clear text, or no OpenPGP at all.
  if ((header & 0x80) === 0) throw new SignatureFault('is no binary OpenPGP message')
  return (header & 0x40) === 0 ? oldPacket(bytes, start, header) : newPacket(bytes, start, header)
}

function oldPacket(bytes: Buffer, start: number, header: number): { packet: Packet; end: number } {
  const tag = (header >> 2) & 0x0f
  const kind = header & 3
  // Of a length that nobody says: up to the end.
  const size = kind === 3 ? 0 : 1 << kind
  const from = start + 1 + size
  const length = kind === 3 ? bytes.length - from : numberAt(bytes, start + 1, size)
  return { packet: { tag, body: slice(bytes, from, length) }, end: from + length }
}

function newPacket(bytes: Buffer, start: number, header: number): { packet: Packet; end: number } {
  const parts: Buffer[] = []
  for (let at = start + 1; ; ) {
    const { length, size, isPart } = newLength(bytes, at)
    parts.push(slice(bytes, at + size, length))
    at += size + length
    if (!isPart) return { packet: { tag: header & 0x3f, body: Buffer.concat(parts) }, end: at }
  }
}

function newLength(bytes: Buffer, at: number): { length: number; size: number; isPart: boolean } {
  const first = byteAt(bytes, at)
  if (first < 192) return { length: first, size: 1, isPart: false }
  if (first < 224) return { length: ((first - 192) << 8) + byteAt(bytes, at + 1) + 192, size: 2, isPart: false }
  if (first < 255) return { length: 2 ** (first & 0x1f), size: 1, isPart: true }
  return { length: numberAt(bytes, at + 1, 4), size: 5, isPart: false }
}

function byteAt(bytes: Buffer, at: number): number {
  return numberAt(bytes, at, 1)
}

function numberAt(bytes: Buffer, at: number, size: number): number {
  if (at + size > bytes.length) throw truncated()
  return bytes.readUIntBE(at, size)
}

function slice(bytes: Buffer, from: number, length: number): Buffer {
  if (from + length > bytes.length) throw truncated()
  return bytes.subarray(from, from + length)
}

function truncated(): SignatureFault {
  return new SignatureFault('is truncated')
}

function decompress(body: Buffer): Buffer {
  const algorithm = byteAt(body, 0)
  if (algorithm !== 1 && algorithm !== 2) throw new SignatureFault('is compressed in a way that is not ZIP or ZLIB')
  const data = body.subarray(1)
  const { buffer, engine } = inflated(data, algorithm === 1 ? inflateRawSync : inflateSync)
  if (engine.bytesWritten !== data.length) throw new SignatureFault('is followed by something else')
  return buffer
}

function inflated(data: Buffer, inflate: typeof inflateSync): { buffer: Buffer; engine: { bytesWritten: number } } {
  try {
    // What `info` makes of the result, Node's types do not say.
    return inflate(data, { info: true, maxOutputLength: largestSignature }) as unknown as ReturnType<typeof inflated>
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'Z_BUF_ERROR') throw truncated()
    if (code === 'Z_DATA_ERROR') throw new SignatureFault('is damaged')
    if (code === 'ERR_BUFFER_TOO_LARGE')
      throw new SignatureFault(`has more than ${largestSignature} bytes decompressed`)
    throw error
  }
}
