import { ForerunError } from '../errors.ts'

/** A full disk or quota becomes an error that names the place: the kernel's own does not. Any other error stays itself. */
export function namingFullDisk(error: unknown, place: string): unknown {
  if (!isFullDisk(error)) return error
  const what = error.code === 'ENOSPC' ? 'no space is left' : 'the quota is used up'
  return new ForerunError('disk-full', `${what} on the file system of '${place}'`, {
    cause: error,
    hint: 'Make room there; forerun images prune removes images that nothing needs.',
  })
}

/** Whether the kernel found no room, on the disk or in the quota. */
export function isFullDisk(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
