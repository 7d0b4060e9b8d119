import { ForerunError } from '../errors.ts'

/** A full disk or quota becomes an error that names the place: the kernel's own does not. Any other error stays itself. */
export function namingFullDisk(error: unknown, place: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  const what = code === 'ENOSPC' ? 'no space is left' : 'the quota is used up'
  return new ForerunError('disk-full', `${what} on the file system of '${place}'`, {
    cause: error,
    hint: 'Make room there; forerun images prune removes images that nothing needs.',
  })
}
