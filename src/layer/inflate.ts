import { constants, createGunzip, createZstdDecompress } from 'node:zlib'

/** Decompresses one stream piece by piece, in the calling thread. */
export interface Inflater extends Disposable {
  /** @throws an error with zlib's code, such as `Z_DATA_ERROR`, and what the output throws. */
  write(bytes: Buffer, output: Output): void
  /** To be called once, after the last bytes. @throws an error with zlib's code when the stream is not whole. */
  end(output: Output): void
}

/** Where uncompressed bytes go, without being copied. */
export interface Output {
  /** Room for the next bytes, at least for one. */
  room(): Buffer
  /** So many bytes lie in what `room` gave. */
  filled(length: number): void
}

/** @param take gets the bytes, which are valid during the call only. */
export function outputTo(take: (bytes: Buffer) => void): Output {
  const buffer = Buffer.allocUnsafeSlow(outputSize)
  return {
    room: () => buffer,
    filled: (length) => take(buffer.subarray(0, length)),
  }
}

/** gzip, of several members too; zeros after the last one are passed over (RFC 1952). */
export function gzipInflater(): Inflater {
  return inflater(createGunzip() as unknown as ZlibStream, { go: constants.Z_NO_FLUSH, end: constants.Z_FINISH })
}

/** zstd; each call of `write` gets bytes of one frame (RFC 8878). */
export function zstdInflater({ windowLogMax }: { windowLogMax: number }): Inflater {
  const stream = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: windowLogMax } })
  return inflater(stream as unknown as ZlibStream, { go: constants.ZSTD_e_continue, end: constants.ZSTD_e_end })
}

/** Fits into a core's second-level cache, where the hash and the reader of the archive then find it. */
const outputSize = 256 * 1024

/**
 * Node's streams allocate a new buffer for each piece of output, which costs half as much again as inflating, and take a
 * promise or an event for each; what Node has for one call wants the whole in memory. So this calls what lies beneath
 * both, as npm's own minizlib does, and has it write to where the output is to be.
 */
interface ZlibStream {
  readonly _handle: ZlibHandle
  /** After a call: bytes that are left of the output buffer, and of the input. */
  readonly _writeState: Uint32Array
  destroy(): void
}

interface ZlibHandle {
  writeSync(
    flush: number,
    input: Buffer,
    inputStart: number,
    inputLength: number,
    output: Buffer,
    outputStart: number,
    outputLength: number,
  ): void
  onerror: (message: string, errno: number, code: string) => void
}

function inflater(stream: ZlibStream, flush: { go: number; end: number }): Inflater {
  const { _handle: handle, _writeState: state } = stream
  let failure: Error | undefined
  handle.onerror = (message, errno, code) => {
    failure ??= Object.assign(new Error(message), { errno, code })
  }

  function run(flag: number, bytes: Buffer, output: Output): void {
    for (let left = bytes.length; ; ) {
      const room = output.room()
      handle.writeSync(flag, bytes, bytes.length - left, left, room, 0, room.length)
      if (failure !== undefined) throw failure
      const [roomLeft = 0, inputLeft = 0] = state
      if (roomLeft < room.length) output.filled(room.length - roomLeft)
      // With room left, all has been taken of the input that belongs to the stream.
      if (roomLeft > 0) return
      left = inputLeft
    }
  }

  return {
    write: (bytes, output) => run(flush.go, bytes, output),
    end: (output) => run(flush.end, Buffer.alloc(0), output),
    [Symbol.dispose]: () => stream.destroy(),
  }
}
