import { once } from 'node:events'
import { type Extract, extract, type Header } from 'tar-stream'
import { ForerunError } from '../errors.ts'
import { shownWords } from '../image/reference.ts'
import { checkInterrupted, unreadable } from './file-fault.ts'
import type { TarInput } from './tar-input.ts'

/** A member as the archive has it; a later one of the same name stands for this one. */
export interface Member {
  /** Without `./` and the like; undefined when it would lie outside of the archive. */
  readonly name: string | undefined
  readonly kind: 'file' | 'symlink' | 'link' | 'other'
  /** Of a link. */
  readonly target: string
  /** Bytes of the content. */
  readonly size: number
  /** Of the content in the uncompressed archive. */
  readonly offset: number
  /** From 0. */
  readonly ordinal: number
}

/**
 * The members of a tar archive, in their order. While one is held, its content can be taken from the input, from its first
 * byte on; what is left of it is passed over when the next one is asked for.
 *
 * The headers are read by tar-stream, which gets zeros for the contents: so those are not copied through it, and those of a file are
 * not even read.
 *
 * @param options.path names the archive in errors.
 * @throws ForerunError `archive`, `limit`, `interrupted`.
 */
export async function* tarMembers(
  input: TarInput,
  { path, signal }: { path: string; signal: AbortSignal },
): AsyncGenerator<Member, void, undefined> {
  const found: Member[] = []
  const headers = extract(headerOptions)
  headers.on('entry', (header, content, next) => {
    // It is thrown where the bytes were written.
    content.on('error', () => {})
    // tar-stream takes some sizes to be none, and then waits for ever.
    if (!Number.isSafeInteger(header.size)) return headers.destroy(new Error('a size that is no number'))
    found.push(memberOf(header, { offset: input.position, ordinal: count++ }))
    content.resume()
    next()
  })
  headers.on('error', () => {})
  let count = 0
  let zeroBlocks = 0
  try {
    while (zeroBlocks < 2) {
      checkInterrupted({ signal })
      const block = await takeBlock(input)
      if (block === undefined) break
      zeroBlocks = block.equals(zeroBlock) ? zeroBlocks + 1 : 0
      await write(headers, block, path)
      const member = found.pop()
      if (member === undefined) continue
      if (count > mostMembers) throw tooMany(path)
      yield member
      await pass(input, member, path)
      await writeZeros(headers, member, path)
    }
    await end(headers, path)
    // So that the checksum of compressed data, which comes behind it, is looked at; but a bomb of zeros is not.
    await input.skip(mostPadding)
  } finally {
    headers.destroy()
  }
}

/**
 * A mark of one byte: each write ends when its bytes have been looked at. Headers older than POSIX are taken; their checksum is
 * looked at all the same. The package's types lack that option.
 */
const headerOptions = { highWaterMark: 1, allowUnknownFormat: true }

/** An image of 127 layers has fewer than a thousand; archives of many images have more. */
const mostMembers = 200_000

function tooMany(path: string): ForerunError {
  return new ForerunError('limit', `'${shownWords(path)}' has more than ${mostMembers} members`, {
    hint: 'No archive of images needs that many; check where the file comes from.',
  })
}

const blockSize = 512
/** Two of them end an archive (POSIX.1, pax, "ustar Interchange Format"). */
const zeroBlock = Buffer.alloc(blockSize)
const mostPadding = 1024 * 1024

async function takeBlock(input: TarInput): Promise<Buffer | undefined> {
  const first = await input.take(blockSize)
  if (first === undefined || first.length === blockSize) return first
  const parts = [first]
  for (let length = first.length; length < blockSize; ) {
    const next = await input.take(blockSize - length)
    if (next === undefined) break
    parts.push(next)
    length += next.length
  }
  return Buffer.concat(parts)
}

async function write(headers: Extract, bytes: Buffer, path: string): Promise<void> {
  try {
    if (!headers.write(bytes)) await once(headers, 'drain')
  } catch (cause) {
    throw unreadable(path, archiveFault(cause), { cause })
  }
}

function memberOf(header: Header, place: { offset: number; ordinal: number }): Member {
  const { name, type, linkname, size } = header
  return {
    name: memberName(name),
    kind: kinds[type] ?? 'other',
    target: linkname ?? '',
    // tar-stream takes a folder to have no content, whatever it says.
    size: type === 'directory' ? 0 : size,
    ...place,
  }
}

const kinds: Readonly<Record<string, Member['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  symlink: 'symlink',
  link: 'link',
}

/** A name in its shortest form; undefined for the archive's own folder, and for what would lie outside of it. */
export function memberName(name: string): string | undefined {
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.length === 0 ? undefined : parts.join('/')
}

function paddedSize(size: number): number {
  return Math.ceil(size / blockSize) * blockSize
}

/** What its holder did not take. */
async function pass(input: TarInput, { offset, size, name }: Member, path: string): Promise<void> {
  const end = offset + paddedSize(size)
  if (await input.skip(end - input.position)) return
  throw unreadable(path, `ends in the midst of ${shownWords(name ?? 'a member')}`)
}

const zeros = Buffer.alloc(1024 * 1024)

async function writeZeros(headers: Extract, { size }: Member, path: string): Promise<void> {
  for (let left = paddedSize(size); left > 0; ) {
    const bytes = zeros.subarray(0, Math.min(left, zeros.length))
    await write(headers, bytes, path)
    left -= bytes.length
  }
}

async function end(headers: Extract, path: string): Promise<void> {
  try {
    headers.end(undefined)
    await once(headers, 'close')
  } catch (cause) {
    throw unreadable(path, archiveFault(cause), { cause })
  }
}

function archiveFault(error: unknown): string {
  const message = error instanceof Error ? error.message : ''
  if (/end of data/i.test(message)) return 'ends in the midst of the archive'
  if (/max size/i.test(message)) return 'has a header of more than 4 MiB, which no archive of images needs'
  return 'is no tar archive, or a damaged one'
}
