import { readFileSync } from 'node:fs'

/** The content of a file; undefined when there is none of that name. */
export function readWhenPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
