import { LayerFault } from './fault.ts'
import { gzipInflater, type Inflater, zstdInflater } from './inflate.ts'
import { zstdFrames } from './zstd-frames.ts'

/** Turns the bytes of a blob into those of its archive. All functions throw LayerFault; see `decompressor`. */
export interface Decompressor extends Disposable {
  write(bytes: Buffer): void
  /** To be called once, after the last bytes. */
  end(): void
}

/**
 * The uncompressed bytes of a layer: gzip (of several members, padded with zeros), zstd (of several frames, skippable
 * ones among them) or plain, told apart by their first bytes, since media types lie.
 *
 * @param take gets the uncompressed bytes, which are valid during the call only.
 */
export function decompressor(take: (bytes: Buffer) => void): Decompressor {
  let first: Buffer = Buffer.alloc(0)
  let form: Decompressor | undefined
  return {
    write(bytes) {
      if (form !== undefined) {
        form.write(bytes)
        return
      }
      first = first.length === 0 ? bytes : Buffer.concat([first, bytes])
      if (first.length < longestMagic) {
        // The buffer is the caller's.
        first = Buffer.from(first)
        return
      }
      form = decompressorOf(first, take)
      form.write(first)
    },
    end() {
      if (form === undefined) {
        form = decompressorOf(first, take)
        form.write(first)
      }
      form.end()
    },
    [Symbol.dispose]: () => form?.[Symbol.dispose](),
  }
}

/** Formats that are met in the wild and deserve their name in the error. */
const knownFormats = [
  { name: 'xz', magic: Buffer.from('fd377a585a00', 'hex') },
  { name: 'bzip2', magic: Buffer.from('BZh') },
]

const longestMagic = 6

function decompressorOf(first: Buffer, take: (bytes: Buffer) => void): Decompressor {
  const other = knownFormats.find(({ magic }) => first.subarray(0, magic.length).equals(magic))
  if (other !== undefined) {
    throw new LayerFault(`it is compressed with ${other.name}, which no image specification knows`)
  }
  if (first[0] === 0x1f && first[1] === 0x8b) return inflating(gzipInflater(), take)
  if (first.length >= 4 && isZstd(first.readUInt32LE())) return zstdDecompressor(take)
  return { write: take, end() {}, [Symbol.dispose]() {} }
}

function isZstd(magic: number): boolean {
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50
}

function zstdDecompressor(take: (bytes: Buffer) => void): Decompressor {
  const frames = zstdFrames()
  const inner = inflating(zstdInflater({ windowLogMax: 27 }), take)
  return {
    write(bytes) {
      for (const piece of frames.pieces(bytes)) inner.write(piece)
    },
    // Frames tell themselves whether they are whole, also when the last one is skippable.
    end: () => frames.end(),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
  }
}

function inflating(inflater: Inflater, take: (bytes: Buffer) => void): Decompressor {
  return {
    write: (bytes) => withFaults(() => inflater.write(bytes, take)),
    end: () => withFaults(() => inflater.end(take)),
    [Symbol.dispose]: () => inflater[Symbol.dispose](),
  }
}

function withFaults(act: () => void): void {
  try {
    act()
  } catch (error) {
    throw decompressionFault(error) ?? error
  }
}

function decompressionFault(error: unknown): LayerFault | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'Z_BUF_ERROR') return new LayerFault('the compressed stream is truncated', { cause: error })
  if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return new LayerFault('its zstd frames need more than 128 MiB to decompress', { cause: error })
  }
  if (/^(?:Z_|ZSTD_)/.test(code)) return new LayerFault('the compressed stream is damaged', { cause: error })
  return undefined
}
