import { createHash } from 'node:crypto'
import type { Digest } from '../../src/image/digest.ts'
import type { LayerEntry, LayerReceiver } from '../../src/tree/entry.ts'

/** What a layer said, with the content of its files; holes are zeros in it, and counted. */
export interface Recorded {
  entry: LayerEntry
  content: Buffer
  holes: number
  ended: boolean
}

export function recorder(): LayerReceiver & { recorded: Recorded[] } {
  const recorded: Recorded[] = []
  let pieces: Buffer[] = []
  const last = () => recorded.at(-1) as Recorded
  return {
    recorded,
    entry: (entry) => void recorded.push({ entry, content: Buffer.alloc(0), holes: 0, ended: false }),
    content: (bytes) => void pieces.push(Buffer.from(bytes)),
    hole(length) {
      last().holes += length
      pieces.push(Buffer.alloc(length))
    },
    endFile() {
      last().content = Buffer.concat(pieces)
      last().ended = true
      pieces = []
    },
  }
}

export interface HeaderFields {
  name: string
  type?: string
  link?: string
  mode?: string
  uid?: string
  gid?: string
  size?: number
  mtime?: string | Buffer
  magic?: string
  prefix?: string
  major?: string
  minor?: string
  /** Bytes to put somewhere before the checksum is made. */
  raw?: [offset: number, bytes: Buffer][]
}

/** A header block with its checksum. Texts are latin1; numbers are written in octal. */
export function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512)
  block.write(fields.name, 0, 100, 'latin1')
  block.write(fields.mode ?? '0000644', 100, 8, 'latin1')
  block.write(fields.uid ?? '0000000', 108, 8, 'latin1')
  block.write(fields.gid ?? '0000000', 116, 8, 'latin1')
  block.write((fields.size ?? 0).toString(8).padStart(11, '0'), 124, 12, 'latin1')
  if (Buffer.isBuffer(fields.mtime)) fields.mtime.copy(block, 136)
  else block.write(fields.mtime ?? '00000000000', 136, 12, 'latin1')
  block.write(fields.type ?? '0', 156, 1, 'latin1')
  block.write(fields.link ?? '', 157, 100, 'latin1')
  block.write(fields.magic ?? 'ustar\x0000', 257, 8, 'latin1')
  block.write(fields.major ?? '', 329, 8, 'latin1')
  block.write(fields.minor ?? '', 337, 8, 'latin1')
  block.write(fields.prefix ?? '', 345, 155, 'latin1')
  for (const [offset, bytes] of fields.raw ?? []) bytes.copy(block, offset)
  return withChecksum(block)
}

export function withChecksum(block: Buffer, { signed = false } = {}): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + (signed && byte > 127 ? byte - 256 : byte), 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1')
  return block
}

/** A header and its content, padded. */
export function member(fields: HeaderFields, content: Buffer | string = ''): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  return Buffer.concat([header({ size: bytes.length, ...fields }), padded(bytes)])
}

export function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

/** An extended header; records in the given order, values as latin1 or bytes. */
export function pax(records: [string, string | Buffer][], type: 'x' | 'g' = 'x'): Buffer {
  return member(
    { name: 'PaxHeaders/x', type },
    Buffer.concat(records.map(([keyword, value]) => record(keyword, value))),
  )
}

function record(keyword: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([
    Buffer.from(` ${keyword}=`, 'latin1'),
    Buffer.from(value as string, 'latin1'),
    Buffer.from('\n'),
  ])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

export const endOfArchive = Buffer.alloc(1024)

export function sha256(bytes: Buffer): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The bytes in pieces of a size. */
export async function* inPieces(bytes: Buffer, size = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
