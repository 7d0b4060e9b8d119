import { availableParallelism } from 'node:os'
import type { HashFiles } from '../store/file-checks.ts'
import { type FileToHash, type HashedContent, hashFiles } from '../store/hash-file.ts'
import { sideBySide } from './side-by-side.ts'
import type { ThreadContext } from './threads.ts'

/** Reads files on all cores; a few are read at once in this thread. @throws ForerunError `interrupted` */
export function hashInThreads({ threads, signal }: ThreadContext): HashFiles {
  return async (files) => {
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    if (bytes < batchBytes && files.length < batchFiles) return hashFiles(files.map(fileToHash))
    const contents: (HashedContent | undefined)[] = []
    const work = async ({ first, files: batch }: Batch, either: AbortSignal): Promise<void> => {
      for (const [index, content] of (await threads.run('hashFiles', batch, either)).entries())
        contents[first + index] = content
    }
    await sideBySide(batches(files), work, { width: availableParallelism(), signal })
    return contents
  }
}

interface Batch {
  readonly first: number
  readonly files: FileToHash[]
}

const batchBytes = 32 * 1024 * 1024
const batchFiles = 1000

function batches(files: readonly (FileToHash & { readonly size: number })[]): Batch[] {
  const made: Batch[] = []
  let batch: Batch | undefined
  let bytes = 0
  for (const [index, file] of files.entries()) {
    if (batch === undefined || bytes + file.size > batchBytes || batch.files.length === batchFiles) {
      batch = { first: index, files: [] }
      made.push(batch)
      bytes = 0
    }
    batch.files.push(fileToHash(file))
    bytes += file.size
  }
  return made
}

/** Without what else is known of it, which would be copied to the thread. */
function fileToHash({ path, holes }: FileToHash): FileToHash {
  return { path, holes }
}
