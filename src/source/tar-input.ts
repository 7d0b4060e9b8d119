import type { FileHandle } from 'node:fs/promises'
import { checkInterrupted } from './file-fault.ts'
import { readAt } from './file-range.ts'

/** The bytes of an uncompressed archive, read from front to back. */
export interface TarInput {
  readonly position: number
  /** At least one byte and at most `most`; undefined at the end. */
  take(most: number): Promise<Buffer | undefined>
  /** Passes over bytes; false when there were not so many. */
  skip(bytes: number): Promise<boolean>
}

/** Bytes that are passed over are not read. `path` names the file in errors. */
export function fileInput(file: FileHandle, path: string, { size }: { size: number }): TarInput {
  let position = 0
  /** Blocks are small: they are read several at a time. */
  let ahead: Buffer = Buffer.alloc(0)
  return {
    get position() {
      return position
    },
    async take(most) {
      if (ahead.length === 0) ahead = await readAt(file, path, { position, length: readAhead })
      if (ahead.length === 0) return undefined
      const taken = ahead.subarray(0, most)
      ahead = ahead.subarray(taken.length)
      position += taken.length
      return taken
    },
    async skip(bytes) {
      if (bytes > size - position) return false
      position += bytes
      ahead = ahead.subarray(Math.min(bytes, ahead.length))
      return true
    },
  }
}

const readAhead = 32 * 1024

/** @throws ForerunError `interrupted`, and what the source throws. */
export function streamInput(source: AsyncIterator<Buffer>, context: { readonly signal: AbortSignal }): TarInput {
  let position = 0
  let ahead: Buffer = Buffer.alloc(0)
  async function take(most: number): Promise<Buffer | undefined> {
    while (ahead.length === 0) {
      checkInterrupted(context)
      const { done, value } = await source.next()
      if (done === true) return undefined
      ahead = value
    }
    const taken = ahead.subarray(0, most)
    ahead = ahead.subarray(taken.length)
    position += taken.length
    return taken
  }
  return {
    get position() {
      return position
    },
    take,
    async skip(bytes) {
      for (let left = bytes; left > 0; ) {
        const taken = await take(left)
        if (taken === undefined) return false
        left -= taken.length
      }
      return true
    },
  }
}
