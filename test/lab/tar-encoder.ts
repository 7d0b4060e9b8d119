/** One member of an archive, and how it is written. Texts are byte strings. */
export interface TarFile {
  readonly kind: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'character-device' | 'block-device'
  /** As the archive has it: with `./`, `/` or `..` where it likes. */
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number }
  readonly xattrs: readonly (readonly [name: string, value: Buffer])[]
  readonly target?: string
  readonly device?: readonly [major: number, minor: number]
  readonly content?: Buffer
  /** Where the content is data, in order: offset and length. The rest of it is zeros. */
  readonly map?: readonly (readonly [offset: number, length: number])[]
  readonly format: 'ustar' | 'pax' | 'gnu'
  /** Which form of sparse file, for one with a map. */
  readonly sparse?: 'gnu' | '0.0' | '0.1' | '1.0'
  /** Write owner and time as a global header before it, which then holds for the members after it, too. */
  readonly globally?: boolean
}

export interface ArchiveEnd {
  /** Zero blocks at the end. */
  readonly blocks: number
}

/**
 * Writes an archive by POSIX.1-2017 (pax) and the GNU tar manual ("Tar Internals"); independent of the reader in `src`.
 *
 * @param options.globals `false` writes no global headers, and the same records to each member, for readers without them.
 */
export function encodeArchive(
  files: readonly TarFile[],
  { blocks = 2, globals = true }: Partial<ArchiveEnd> & { globals?: boolean } = {},
): Buffer {
  let current: Records = []
  const members = files.flatMap((file) => {
    if (!globals) return [encodeMember(file, [])]
    if (file.globally !== true) return [encodeMember(file, current)]
    current = [
      ['uid', Buffer.from(`${file.uid}`)],
      ['mtime', Buffer.from(timeText(file.mtime))],
    ]
    return [extended('g', current), encodeMember(file, current)]
  })
  return Buffer.concat([...members, Buffer.alloc(blocks * 512)])
}

type Records = [keyword: string, value: Buffer][]

function encodeMember(file: TarFile, globals: Records): Buffer {
  const parts: Buffer[] = []
  const records: Records = []
  const sparse = sparseForm(file)
  const content = sparse?.stored ?? file.content ?? Buffer.alloc(0)
  const path = latin1(file.path)
  const link = latin1(file.target ?? '')
  const isPax = needsPax(file, globals)
  let name = path
  if (isPax) {
    const isNamed = sparse?.records.some(([keyword]) => keyword === 'GNU.sparse.name') === true
    if (isNamed) name = latin1('GNUSparseFile.0/x')
    else if (path.length > 100 || path.some((byte) => byte > 0x7e)) records.push(['path', path])
    if (link.length > 100 || link.some((byte) => byte > 0x7e)) records.push(['linkpath', link])
    if (file.uid > 0o7777777 || overridden(globals, 'uid')) records.push(['uid', Buffer.from(`${file.uid}`)])
    if (file.gid > 0o7777777) records.push(['gid', Buffer.from(`${file.gid}`)])
    const { seconds, nanoseconds } = file.mtime
    if (seconds < 0 || seconds > 0o77777777777 || nanoseconds !== 0 || overridden(globals, 'mtime')) {
      records.push(['mtime', Buffer.from(timeText(file.mtime))])
    }
    for (const [attribute, value] of file.xattrs) records.push([`SCHILY.xattr.${attribute}`, value])
    records.push(...(sparse?.records ?? []))
    if (records.length > 0) parts.push(extended('x', records))
  } else if (file.format === 'gnu') {
    if (path.length > 100) parts.push(longMember('L', path))
    if (link.length > 100) parts.push(longMember('K', link))
  }
  const header = Buffer.alloc(512)
  name.copy(header, 0, 0, 100)
  if (!isPax && file.format === 'ustar' && path.length > 100) splitName(header, path)
  writeNumber(header, file.mode, [100, 8], file.format)
  writeNumber(header, file.uid, [108, 8], file.format)
  writeNumber(header, file.gid, [116, 8], file.format)
  writeNumber(header, content.length, [124, 12], file.format)
  writeNumber(header, file.mtime.seconds, [136, 12], file.format)
  header.write(sparse?.type ?? types[file.kind], 156, 'latin1')
  link.copy(header, 157, 0, 100)
  const isGnu = sparse?.type === 'S' || (file.format === 'gnu' && !isPax)
  header.write(isGnu ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1')
  if (file.device !== undefined) {
    writeNumber(header, file.device[0], [329, 8], file.format)
    writeNumber(header, file.device[1], [337, 8], file.format)
  }
  const extensions = sparse?.fill(header) ?? Buffer.alloc(0)
  return Buffer.concat([...parts, summed(header), extensions, content, padding(content.length)])
}

const types: Record<TarFile['kind'], string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
}

/** Whether there is something that the member's own format cannot hold. */
function needsPax(file: TarFile, globals: Records): boolean {
  if (file.xattrs.length > 0 || file.mtime.nanoseconds !== 0 || globals.length > 0) return true
  if (file.map !== undefined) return file.sparse !== 'gnu'
  if (file.format !== 'ustar') return file.format === 'pax'
  const { seconds } = file.mtime
  if (file.uid > 0o7777777 || file.gid > 0o7777777 || seconds < 0 || seconds > 0o77777777777) return true
  const link = file.target ?? ''
  return link.length > 100 || !isPlain(link + file.path) || (file.path.length > 100 && splitAt(file.path) < 0)
}

function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

function overridden(globals: Records, keyword: string): boolean {
  return globals.some(([name]) => name === keyword)
}

function timeText({ seconds, nanoseconds }: TarFile['mtime']): string {
  if (nanoseconds === 0) return `${seconds}`
  const [whole, rest] = seconds < 0 ? [-seconds - 1, 1_000_000_000 - nanoseconds] : [seconds, nanoseconds]
  return `${seconds < 0 ? '-' : ''}${whole}.${String(rest).padStart(9, '0')}`
}

/** Octal digits while they do, else base 256, which GNU tar made and others read. */
function writeNumber(
  header: Buffer,
  value: number,
  [offset, length]: readonly [number, number],
  format: TarFile['format'],
): void {
  if (value >= 0 && value < 8 ** (length - 1)) {
    header.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1')
    return
  }
  // What a record says anyway.
  if (format !== 'gnu') return
  let rest = BigInt(value)
  for (let at = offset + length - 1; at >= offset; at--) {
    header[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  header[offset] = (header[offset] as number) | 0x80
}

function splitAt(path: string): number {
  for (let slash = path.indexOf('/'); slash >= 0 && slash <= 155; slash = path.indexOf('/', slash + 1)) {
    if (slash > 0 && path.length - slash - 1 <= 100 && path.length - slash - 1 > 0) return slash
  }
  return -1
}

function splitName(header: Buffer, path: Buffer): void {
  const slash = splitAt(path.toString('latin1'))
  header.fill(0, 0, 100)
  path.copy(header, 0, slash + 1)
  path.copy(header, 345, 0, slash)
}

function longMember(type: 'L' | 'K', text: Buffer): Buffer {
  return simpleMember(type, '././@LongLink', Buffer.concat([text, Buffer.alloc(1)]))
}

function extended(type: 'x' | 'g', records: Records): Buffer {
  return simpleMember(type, 'PaxHeaders/x', Buffer.concat(records.map(([keyword, value]) => record(keyword, value))))
}

function record(keyword: string, value: Buffer): Buffer {
  const rest = Buffer.concat([latin1(` ${keyword}=`), value, latin1('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function simpleMember(type: string, name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0, 'latin1')
  header.write('0000644', 100, 'latin1')
  header.write(content.length.toString(8).padStart(11, '0'), 124, 'latin1')
  header.write('00000000000', 136, 'latin1')
  header.write(type, 156, 'latin1')
  header.write(type === 'L' || type === 'K' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1')
  return Buffer.concat([summed(header), content, padding(content.length)])
}

/** Puts the checksum into a header. */
export function summed(header: Buffer): Buffer {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

function padding(length: number): Buffer {
  return Buffer.alloc((512 - (length % 512)) % 512)
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

interface SparseForm {
  readonly stored: Buffer
  readonly records: Records
  readonly type?: string
  /** Writes what the header holds of the map; returns the blocks after it. */
  fill(header: Buffer): Buffer | undefined
}

function sparseForm(file: TarFile): SparseForm | undefined {
  if (file.map === undefined || file.content === undefined) return undefined
  const { content, map } = file
  const data = Buffer.concat(map.map(([offset, length]) => content.subarray(offset, offset + length)))
  const numbers = map.flat()
  const number = (value: number) => Buffer.from(`${value}`)
  const fill = () => undefined
  switch (file.sparse) {
    case 'gnu':
      return { stored: data, records: [], type: 'S', fill: (header) => fillOldMap(header, numbers, content.length) }
    case '0.0':
      return {
        stored: data,
        records: [
          ['GNU.sparse.size', number(content.length)],
          ['GNU.sparse.numblocks', number(map.length)],
          ...map.flatMap(
            ([offset, length]): Records => [
              ['GNU.sparse.offset', number(offset)],
              ['GNU.sparse.numbytes', number(length)],
            ],
          ),
        ],
        fill,
      }
    case '0.1':
      return {
        stored: data,
        records: [
          ['GNU.sparse.name', latin1(file.path)],
          ['GNU.sparse.size', number(content.length)],
          ['GNU.sparse.numblocks', number(map.length)],
          ['GNU.sparse.map', Buffer.from(numbers.join(','))],
        ],
        fill,
      }
    default: {
      const lines = latin1(`${[map.length, ...numbers].join('\n')}\n`)
      return {
        stored: Buffer.concat([lines, padding(lines.length), data]),
        records: [
          ['GNU.sparse.major', number(1)],
          ['GNU.sparse.minor', number(0)],
          ['GNU.sparse.name', latin1(file.path)],
          ['GNU.sparse.realsize', number(content.length)],
        ],
        fill,
      }
    }
  }
}

function fillOldMap(header: Buffer, numbers: readonly number[], size: number): Buffer {
  const octal = (value: number) => value.toString(8).padStart(11, '0')
  const put = (block: Buffer, at: number, some: readonly number[]) => {
    for (const [index, value] of some.entries()) block.write(octal(value), at + index * 12, 'latin1')
  }
  put(header, 386, numbers.slice(0, 8))
  header.write(octal(size), 483, 'latin1')
  header[482] = numbers.length > 8 ? 1 : 0
  const blocks: Buffer[] = []
  for (let at = 8; at < numbers.length; at += 42) {
    const block = Buffer.alloc(512)
    put(block, 0, numbers.slice(at, at + 42))
    block[504] = at + 42 < numbers.length ? 1 : 0
    blocks.push(block)
  }
  return Buffer.concat(blocks)
}
