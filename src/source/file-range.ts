import type { FileHandle } from 'node:fs/promises'
import { systemFault } from './file-fault.ts'

/**
 * The bytes of an open file from `start` up to `end`, or to the file's end when that comes first. Ranges can be read side by
 * side. `path` names the file in errors.
 *
 * @throws ForerunError `archive`
 */
export async function* readRange(
  file: FileHandle,
  path: string,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Buffer, void, undefined> {
  for (let position = start; position < end; ) {
    const bytes = await readAt(file, path, { position, length: Math.min(pieceSize, end - position) })
    if (bytes.length === 0) return
    position += bytes.length
    yield bytes
  }
}

/** Large enough that the hash and the readers of layers work on large pieces. */
const pieceSize = 512 * 1024

/** One piece, empty at the end. Not pooled: what reads the layer may keep slices for long. @throws ForerunError `archive` */
export async function readAt(
  file: FileHandle,
  path: string,
  { position, length }: { position: number; length: number },
): Promise<Buffer> {
  try {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(length), 0, length, position)
    return buffer.subarray(0, bytesRead)
  } catch (cause) {
    throw systemFault(path, cause)
  }
}
