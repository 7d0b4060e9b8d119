import type { Transform, TransformOptions } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createZstdDecompress, type ZlibOptions, type ZstdOptions } from 'node:zlib'
import { LayerFault, layerError } from './fault.ts'
import { zstdFrames } from './zstd-frames.ts'

/**
 * The uncompressed bytes of a layer: gzip (of several members, padded with zeros), zstd (of several frames, skippable
 * ones among them) or plain, told apart by their first bytes, since media types lie. Decompression runs in the thread
 * pool, ahead of the reader by some pieces. When the iteration ends, in whichever way, nothing reads `source` any more.
 *
 * @param layer what errors call the layer: its digest.
 * @throws ForerunError `layer`, and what the source throws.
 */
export async function* decompress(source: AsyncIterable<Buffer>, layer: string): AsyncGenerator<Buffer> {
  const { first, whole } = await peek(source)
  const other = knownFormats.find(({ magic }) => first.subarray(0, magic.length).equals(magic))
  if (other !== undefined) {
    const fault = new LayerFault(`it is compressed with ${other.name}, which no image specification knows`)
    throw layerError(fault, { layer, where: 'byte 0' })
  }
  if (first[0] === 0x1f && first[1] === 0x8b) {
    const options: ZlibOptions & TransformOptions = { chunkSize, ...buffering }
    yield* transformed(whole, createGunzip(options), layer)
  } else if (first.length >= 4 && isZstd(first.readUInt32LE())) {
    const params = { [constants.ZSTD_d_windowLogMax]: 27 }
    const options: ZstdOptions & TransformOptions = { chunkSize, ...buffering, params }
    yield* transformed(singleFrames(whole, layer), createZstdDecompress(options), layer)
  } else {
    yield* whole
  }
}

/** Of the output: large, so that the hash and the reader of the archive work on large pieces. */
const chunkSize = 512 * 1024
/** Two pieces of output wait while a third is read: the thread that decompresses need not wait for this one. */
const buffering = { readableHighWaterMark: 2 * chunkSize, writableHighWaterMark: 256 * 1024 }

/** Formats that are met in the wild and deserve their name in the error. */
const knownFormats = [
  { name: 'xz', magic: Buffer.from('fd377a585a00', 'hex') },
  { name: 'bzip2', magic: Buffer.from('BZh') },
]

function isZstd(magic: number): boolean {
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50
}

/** The first bytes, as many as tell the format, and all bytes, those included. */
async function peek(source: AsyncIterable<Buffer>): Promise<{ first: Buffer; whole: AsyncGenerator<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]()
  let first: Buffer = Buffer.alloc(0)
  while (first.length < 6) {
    const { done, value } = await iterator.next()
    if (done === true) break
    first = first.length === 0 ? value : Buffer.concat([first, value])
  }
  async function* whole(): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first
    yield* { [Symbol.asyncIterator]: () => iterator }
  }
  return { first, whole: whole() }
}

async function* singleFrames(source: AsyncIterable<Buffer>, layer: string): AsyncGenerator<Buffer> {
  const frames = zstdFrames()
  let position = 0
  try {
    for await (const bytes of source) {
      yield* frames.pieces(bytes)
      position += bytes.length
    }
    frames.end()
  } catch (error) {
    throw error instanceof LayerFault ? layerError(error, { layer, where: `byte ${position} of the blob` }) : error
  }
}

async function* transformed(
  source: AsyncIterable<Buffer>,
  stream: Transform & { readonly bytesWritten: number },
  layer: string,
): AsyncGenerator<Buffer> {
  // Whatever ends the pipeline in an error is thrown by the loop over its stream as well.
  const feeding = pipeline(source, stream).catch(() => {})
  try {
    for await (const bytes of stream) yield bytes
  } catch (error) {
    const fault = decompressionFault(error)
    throw fault === undefined ? error : layerError(fault, { layer, where: `byte ${stream.bytesWritten} of the blob` })
  } finally {
    stream.destroy()
    await feeding
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
