import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { systemFault, unreadable } from './file-fault.ts'

/** Opens a file to be read; a pipe or a device is refused at once, and not waited for. @throws ForerunError `archive` */
export async function openRegularFile(path: string, flags = 0): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags).catch((cause: unknown) => {
    throw systemFault(path, cause)
  })
  const found = await file.stat()
  if (found.isFile()) return file
  await file.close()
  const kind = found.isDirectory() ? 'folder' : found.isFIFO() ? 'pipe' : 'device'
  throw unreadable(path, `is a ${kind}, not a file`, {
    hint:
      kind === 'folder'
        ? 'For a folder write oci:DIR or dir:DIR.'
        : 'Write the image to a file first: it is read more than once.',
  })
}
