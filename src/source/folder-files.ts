import { constants } from 'node:fs'
import { lstat, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { systemFault, unreadable } from './file-fault.ts'
import { readRange } from './file-range.ts'
import type { ImageParts } from './image-parts.ts'
import { openRegularFile } from './regular-file.ts'

/**
 * The files below a folder. The folder itself may be reached through symbolic links; below it none is followed, so that an
 * image from a stranger cannot name a file outside.
 */
export function folderFiles(path: string): ImageParts {
  return {
    path,
    size: (name) => fileSize(path, name),
    read: (name, _context, { offset = 0 } = {}) => readFile(join(path, name), offset),
    forwardPosition: () => undefined,
    async [Symbol.asyncDispose]() {},
  }
}

async function fileSize(folder: string, name: string): Promise<number | undefined> {
  await checkFolder(folder)
  const parts = name.split('/')
  for (const [index] of parts.entries()) {
    const path = join(folder, ...parts.slice(0, index + 1))
    const found = await lstat(path).catch(absent)
    if (found === undefined) return undefined
    const isLast = index === parts.length - 1
    if (isLast ? found.isFile() : found.isDirectory()) {
      if (isLast) return found.size
      continue
    }
    if (found.isSymbolicLink()) throw systemFault(path, { code: 'ELOOP' })
    throw unreadable(path, `is no ${isLast ? 'regular file' : 'folder'}`)
  }
  return undefined
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((cause: unknown) => {
    throw systemFault(folder, cause)
  })
  if (found.isDirectory()) return
  throw unreadable(folder, 'is no folder', {
    hint: 'For an image in one file write oci-archive:FILE or docker-archive:FILE.',
  })
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

async function* readFile(path: string, offset: number): AsyncGenerator<Buffer, void, undefined> {
  await using file = await openRegularFile(path, constants.O_NOFOLLOW)
  yield* readRange(file, path, { start: offset, end: Number.POSITIVE_INFINITY })
}
