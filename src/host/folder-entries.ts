import { type Dirent, readdirSync } from 'node:fs'

/** The names in a folder; none where there is no such folder. One that may not be read is an error, and no empty one. */
export function namesIn(folder: string): string[] {
  return whenPresent(() => readdirSync(folder))
}

/** As `namesIn`, with what each name is. */
export function entriesIn(folder: string): Dirent[] {
  return whenPresent(() => readdirSync(folder, { withFileTypes: true }))
}

function whenPresent<Entry>(read: () => Entry[]): Entry[] {
  try {
    return read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
