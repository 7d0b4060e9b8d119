import { availableParallelism } from 'node:os'
import type { HashFiles } from '../store/file-checks.ts'
import { type HashedContent, hashFiles } from '../store/hash-file.ts'
import type { ByteString } from '../tree/entry.ts'
import { sideBySide } from './side-by-side.ts'
import type { ThreadContext } from './threads.ts'

/** Reads files on all cores; a few are read at once in this thread. @throws ForerunError `interrupted` */
export function hashInThreads({ threads, signal }: ThreadContext): HashFiles {
  return async (files) => {
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    if (bytes < batchBytes && files.length < batchFiles) return hashFiles(files.map(({ path }) => path))
    const contents: (HashedContent | undefined)[] = []
    const work = async ({ first, paths }: Batch): Promise<void> => {
      for (const [index, content] of (await threads.run('hashFiles', paths)).entries())
        contents[first + index] = content
    }
    await sideBySide(batches(files), work, { width: availableParallelism(), signal })
    return contents
  }
}

interface Batch {
  readonly first: number
  readonly paths: ByteString[]
}

const batchBytes = 32 * 1024 * 1024
const batchFiles = 1000

function batches(files: readonly { path: ByteString; size: number }[]): Batch[] {
  const made: Batch[] = []
  let batch: Batch | undefined
  let bytes = 0
  for (const [index, { path, size }] of files.entries()) {
    if (batch === undefined || bytes + size > batchBytes || batch.paths.length === batchFiles) {
      batch = { first: index, paths: [] }
      made.push(batch)
      bytes = 0
    }
    batch.paths.push(path)
    bytes += size
  }
  return made
}
