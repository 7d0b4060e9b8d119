import { lstatSync, readFileSync } from 'node:fs'

/**
 * The content of a file; undefined when there is none of that name. A link that leads nowhere is there, and cannot be read:
 * somebody meant a file.
 */
export function readWhenPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && isAbsent(path)) return undefined
    throw error
  }
}

/** Whether nothing of that name is there, not even a link to nothing. */
export function isAbsent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined
}
