import { LayerFault } from './fault.ts'
import { gzipInflater, type Inflater, type Output, zstdInflater } from './inflate.ts'
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
 */
export function decompressor(output: Output): Decompressor {
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
      form = decompressorOf(first, output)
      form.write(first)
    },
    end() {
      if (form === undefined) {
        form = decompressorOf(first, output)
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

function decompressorOf(first: Buffer, output: Output): Decompressor {
  const other = knownFormats.find(({ magic }) => first.subarray(0, magic.length).equals(magic))
  if (other !== undefined) {
    throw new LayerFault(`it is compressed with ${other.name}, which no image specification knows`)
  }
  if (first[0] === 0x1f && first[1] === 0x8b) return inflating(gzipInflater(), output)
  if (first.length >= 4 && isZstd(first.readUInt32LE())) return zstdDecompressor(output)
  return { write: (bytes) => copyTo(output, bytes), end() {}, [Symbol.dispose]() {} }
}

function copyTo(output: Output, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.copy(output.room(), 0, at)
    output.filled(length)
    at += length
  }
}

function isZstd(magic: number): boolean {
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50
}

function zstdDecompressor(output: Output): Decompressor {
  const frames = zstdFrames()
  const inner = inflating(zstdInflater({ windowLogMax: 27 }), output)
  return {
    write(bytes) {
      for (const piece of frames.pieces(bytes)) inner.write(piece)
    },
    // Frames tell themselves whether they are whole, also when the last one is skippable.
    end: () => frames.end(),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
  }
}

function inflating(inflater: Inflater, output: Output): Decompressor {
  return {
    write: (bytes) => withFaults(() => inflater.write(bytes, output)),
    end: () => withFaults(() => inflater.end(output)),
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
