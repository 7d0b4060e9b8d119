import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { Random } from './random.ts'
import { summed } from './tar-encoder.ts'

/** A layer that something is wrong with, most of the time. */
export interface MutatedLayer {
  /** As it is transferred. */
  readonly blob: Buffer
  /** What the blob was made of; after a change of the blob itself, not what it expands to. */
  readonly archive: Buffer
}

/** Changes an archive in some places, compresses it or not, and may change that, too. The archive given is left alone. */
export function mutateLayer(chance: Random, original: Buffer): MutatedLayer {
  let archive: Buffer = Buffer.from(original)
  for (let count = chance.below(4); count >= 0; count--) archive = chance.pick(archiveMutations)(chance, archive)
  // Mostly plain: what compression hides is the same archive, and takes long.
  let blob: Buffer = chance.chance(0.75) ? archive : chance.pick(compressors)(archive)
  if (blob !== archive && chance.chance(0.4)) {
    for (let count = chance.below(3); count >= 0; count--) blob = chance.pick(byteMutations)(chance, blob)
  }
  return { blob, archive }
}

type Mutation = (chance: Random, bytes: Buffer) => Buffer

const compressors: readonly ((archive: Buffer) => Buffer)[] = [
  (archive) => gzipSync(archive, { level: 1 }),
  (archive) => zstdCompressSync(archive),
  (archive) =>
    Buffer.concat([gzipSync(archive.subarray(0, 600), { level: 1 }), gzipSync(archive.subarray(600), { level: 1 })]),
  (archive) => Buffer.concat([zstdCompressSync(archive.subarray(0, 600)), zstdCompressSync(archive.subarray(600))]),
]

const byteMutations: readonly Mutation[] = [
  /** Truncation. */
  (chance, bytes) => bytes.subarray(0, chance.below(bytes.length + 1)),
  /** A bit. */
  (chance, bytes) => changed(bytes, (copy) => flip(chance, copy, chance.below(copy.length))),
  /** A bit near the beginning, where lengths and flags are. */
  (chance, bytes) => changed(bytes, (copy) => flip(chance, copy, chance.below(Math.min(copy.length, 24)))),
  /** A run of other bytes. */
  (chance, bytes) => changed(bytes, (copy) => chance.bytes(chance.below(20)).copy(copy, chance.below(copy.length))),
  /** A piece twice, or not at all. */
  (chance, bytes) => {
    const at = chance.below(bytes.length + 1)
    const end = at + chance.below(600)
    return Buffer.concat(
      chance.chance(0.5) ? [bytes.subarray(0, end), bytes.subarray(at)] : [bytes.subarray(0, at), bytes.subarray(end)],
    )
  },
  /** Something after the end. */
  (chance, bytes) => Buffer.concat([bytes, chance.chance(0.5) ? chance.bytes(30) : Buffer.alloc(700)]),
]

const blockMutations: readonly Mutation[] = [
  /** Two blocks for each other. */
  (chance, bytes) =>
    changed(bytes, (copy) => {
      const [one, other] = [someBlock(chance, copy), someBlock(chance, copy)]
      const kept = Buffer.from(one)
      other.copy(one)
      kept.copy(other)
    }),
  /** A block left out, twice, or of zeros. */
  (chance, bytes) => {
    const at = 512 * chance.below(bytes.length / 512 + 1)
    const block = bytes.subarray(at, at + 512)
    const instead = chance.pick([[], [block, block], [Buffer.alloc(512)]])
    return Buffer.concat([bytes.subarray(0, at), ...instead, bytes.subarray(at + 512)])
  },
]

/** These make the checksum right again, so that what they changed is read. */
const headerMutations: readonly Mutation[] = [
  inHeader((chance, header) => {
    const [at, length] = chance.pick(numberFields)
    const value = chance.pick(numbers)
    if (Buffer.isBuffer(value)) value.copy(header, at, 0, length)
    else header.fill(0, at, at + length).write(value.slice(0, length), at, 'latin1')
  }),
  inHeader((chance, header) => header.write(chance.pick([...'01234567LKxgSDVXNM\0\xff~']), 156, 'latin1')),
  inHeader((chance, header) => {
    const name = chance.pick(names)
    const at = chance.pick([0, 157, 345])
    header.fill(0, at, at + 100).write(name, at, 100, 'latin1')
  }),
  inHeader((chance, header) =>
    header.write(chance.pick(['ustar  \0', 'ustar\x0000', 'ustar\0\0\0', '\0'.repeat(8)]), 257),
  ),
  inHeader((chance, header) => chance.bytes(1 + chance.below(8)).copy(header, chance.below(512))),
  /** Old sparse maps. */
  inHeader((chance, header) => {
    header.write('S', 156)
    header.write('ustar  \0', 257)
    for (let at = 386; at < 500; at += 12) {
      const value = chance.pick(numbers)
      if (Buffer.isBuffer(value)) value.copy(header, at, 0, 12)
      else header.write(value.slice(0, 12), at, 'latin1')
    }
  }),
]

/** In the texts of extended headers: digits, separators, keywords, and whole values. */
const recordMutations: readonly Mutation[] = [
  (chance, bytes) =>
    changed(bytes, (copy) => {
      const block = someBlock(chance, copy, (given) => /^[0-9]+ [A-Za-z.]+[=.]/.test(given.toString('latin1', 0, 40)))
      const places = [...block.keys()].filter((at) => /[0-9=\n ,.-]/.test(String.fromCharCode(block[at] as number)))
      if (places.length === 0) return
      for (let count = chance.below(3); count >= 0; count--) {
        block[chance.pick(places)] = chance.pick([...'0123456789=\n ,.-\0'].map((letter) => letter.charCodeAt(0)))
      }
    }),
  (chance, bytes) => {
    const at = 512 * chance.below(bytes.length / 512 + 1)
    const text = Buffer.from(chance.pick(recordTexts), 'latin1')
    const header = Buffer.alloc(512)
    header.write('PaxHeaders/x')
    header.write(text.length.toString(8).padStart(11, '0'), 124)
    header.write(chance.pick([...'xgLK']), 156)
    header.write('ustar\x0000', 257)
    const body = Buffer.alloc(Math.ceil(text.length / 512) * 512)
    text.copy(body)
    return Buffer.concat([bytes.subarray(0, at), summed(header), body, bytes.subarray(at)])
  },
]

const archiveMutations: readonly Mutation[] = [
  ...byteMutations,
  ...blockMutations,
  ...headerMutations,
  ...headerMutations,
  ...headerMutations,
  ...recordMutations,
  ...recordMutations,
]

/** Mode, owner, size, time, device. */
const numberFields: readonly (readonly [offset: number, length: number])[] = [
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [124, 12],
  [136, 12],
  [329, 8],
  [337, 8],
]

const numbers: readonly (string | Buffer)[] = [
  '00000000000',
  '00000000001',
  '00000000777',
  '00000001000',
  '77777777777',
  '7777777\0   ',
  '-0000000001',
  '   ',
  '8',
  '0x10',
  '',
  Buffer.alloc(12, 0xff),
  Buffer.from('800000000000000000000000', 'hex'),
  Buffer.from('80000000000000ffffffffff', 'hex'),
  Buffer.from('800000001fffffffffffffff', 'hex'),
  Buffer.from('c00000000000000000000000', 'hex'),
  Buffer.from('ffffffffffffffff00000000', 'hex'),
]

const names: readonly string[] = [
  '',
  '.',
  '..',
  '/',
  '../../canary',
  '/canary/file',
  'a/../../../canary/file',
  '.wh.',
  '.wh..',
  '.wh...',
  '.wh..wh..opq',
  '.wh..wh.',
  'a/.wh.',
  'a/.wh..',
  'a/.wh...',
  'usr/.wh..wh..opq',
  '.wh.../x',
  'n'.repeat(100),
  '\xff'.repeat(100),
  'bin/sh',
  'usr',
  'etc',
  'a/b',
  'x\0y',
]

const record = (keyword: string, value: string) => {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}

const values = [
  '',
  '0',
  '-1',
  '1.5',
  '-1.999999999',
  '4294967295',
  '9007199254740993',
  '1e9',
  ' 1',
  '1,2',
  '\0',
  'x'.repeat(300),
]

const recordTexts: readonly string[] = [
  ...['path', 'linkpath'].flatMap((keyword) => names.map((name) => record(keyword, name))),
  ...[
    'size',
    'uid',
    'gid',
    'mtime',
    'SCHILY.devmajor',
    'GNU.sparse.size',
    'GNU.sparse.map',
    'GNU.sparse.offset',
  ].flatMap((keyword) => values.map((value) => record(keyword, value))),
  ...['1', '2', '0'].map((major) => record('GNU.sparse.major', major) + record('GNU.sparse.realsize', '700')),
  record('GNU.sparse.name', '../../canary') + record('GNU.sparse.size', '10') + record('GNU.sparse.map', '0,5,7,1'),
  record('SCHILY.xattr.security.capability', 'not one'),
  record('SCHILY.xattr.', 'x'),
  record('SCHILY.xattr.user.large', 'v'.repeat(70_000)),
  record('SCHILY.xattr.nospace', 'x'),
  record('LIBARCHIVE.xattr.user.%00', 'AAAA'),
  'path=x\n',
  '99999999999 path=x\n',
  '0 path=x\n',
  '3 =\n',
  record('path', 'p'.repeat(5000)),
  record('path', 'p/'.repeat(500)),
]

function inHeader(change: (chance: Random, header: Buffer) => void): Mutation {
  return (chance, bytes) =>
    changed(bytes, (copy) => {
      const header = someBlock(chance, copy, (block) => /^ustar/.test(block.toString('latin1', 257, 262)))
      if (header.length < 512) return
      change(chance, header)
      summed(header)
    })
}

/** A block of which something is true, if one is found soon. */
function someBlock(chance: Random, bytes: Buffer, is: (block: Buffer) => boolean = () => true): Buffer {
  const blocks = Math.floor(bytes.length / 512)
  let at = chance.below(blocks)
  for (let tries = 0; tries < blocks && !is(bytes.subarray(at * 512, at * 512 + 512)); tries++) at = (at + 1) % blocks
  return bytes.subarray(at * 512, at * 512 + 512)
}

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  if (bytes.length === 0) return bytes
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

function flip(chance: Random, bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8))
}
