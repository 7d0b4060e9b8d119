import type { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { compressionOf } from './compression.ts'
import { unreadable } from './file-fault.ts'
import { readAt, readRange } from './file-range.ts'
import { forwardArchive } from './forward-archive.ts'
import type { ArchiveFiles } from './image-parts.ts'
import { plainArchive } from './plain-archive.ts'
import { openRegularFile } from './regular-file.ts'
import { transformed } from './transformed.ts'

/**
 * The files in a tar archive: plain, of which the headers are read once and the contents where they lie, or compressed with
 * gzip or zstd, which is read forwards. Nothing is unpacked to the disk.
 *
 * Errors are ForerunErrors that name the archive: `archive`, `limit`, `interrupted`.
 */
export function archiveFiles(path: string): ArchiveFiles {
  let opening: Promise<ArchiveFiles> | undefined
  let opened: ArchiveFiles | undefined
  const open = async () => {
    opening ??= openArchive(path)
    opened = await opening
    return opened
  }
  return {
    path,
    size: async (name, context) => (await open()).size(name, context),
    start: async (name, context) => (await open()).start(name, context),
    async *read(name, context, options) {
      yield* (await open()).read(name, context, options)
    },
    forwardPosition: (name) => opened?.forwardPosition(name),
    async [Symbol.asyncDispose]() {
      // That it could not be opened was told to whoever asked for it.
      await (await opening?.catch(() => undefined))?.[Symbol.asyncDispose]()
    },
  }
}

async function openArchive(path: string): Promise<ArchiveFiles> {
  if (path === '-') {
    throw unreadable(path, 'stands for standard input, which cannot be read twice', {
      hint: 'Write the archive to a file first.',
    })
  }
  await using opened = new AsyncDisposableStack()
  const file = opened.use(await openRegularFile(path))
  const first = await readAt(file, path, { position: 0, length: 6 })
  if (first.length === 0) throw unreadable(path, 'is empty')
  const other = unknownFormats.find(({ magic }) => first.subarray(0, magic.length).equals(magic))
  if (other !== undefined) {
    throw unreadable(path, `is compressed with ${other.name}, which is not read`, {
      hint: `Decompress it first: ${other.name} -d FILE.`,
    })
  }
  const decompressor = decompressorOf(first)
  const owned = opened.move()
  const close = () => owned.disposeAsync()
  if (decompressor === undefined) return plainArchive(file, path, { close })
  const whole = { start: 0, end: Number.POSITIVE_INFINITY }
  return forwardArchive(path, { open: () => decompressed(readRange(file, path, whole), path, decompressor()), close })
}

const unknownFormats = [
  { name: 'xz', magic: Buffer.from('fd377a585a00', 'hex') },
  { name: 'bzip2', magic: Buffer.from('BZh') },
]

function decompressorOf(first: Buffer) {
  const format = compressionOf(first)
  return format && { gzip: () => createGunzip({ chunkSize }), zstd: () => createZstdDecompress({ chunkSize }) }[format]
}

const chunkSize = 512 * 1024

/**
 * A stream's decompressed bytes. When the iteration ends, in whichever way, nothing reads the source any more.
 *
 * @throws ForerunError `archive`, naming the path.
 */
async function* decompressed(
  source: AsyncIterable<Buffer>,
  path: string,
  stream: Transform,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* transformed(source, stream)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!/^Z(?:STD)?_/.test(code)) throw error
    const reason = code === 'Z_BUF_ERROR' ? 'ends in the midst of its compressed data' : 'has damaged compressed data'
    throw unreadable(path, reason, { cause: error })
  }
}
