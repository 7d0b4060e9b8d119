import { closeSync, constants, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * The folder of a path, opened part by part, so that nobody who may write below it can lead elsewhere by a symbolic link.
 * A link directly in `/`, `/usr` or `/var` is the host's own (`/lib`, `/var/run`) and is followed.
 *
 * @param path absolute.
 * @returns the path's name in that folder, whatever becomes of the names above, until it is disposed of; undefined when a
 * part is missing, or is no folder.
 */
export function reachWithoutLinks(path: string): ({ readonly path: string } & Disposable) | undefined {
  let fd = openSync('/', openFolder)
  let above = '/'
  for (const part of dirname(path).split('/')) {
    if (part === '') continue
    const next = openPart(fd, part, ofHost.has(above) ? openFolder : openFolder | constants.O_NOFOLLOW)
    if (next === undefined) return undefined
    fd = next
    above = join(above, part)
  }
  return { path: `/proc/self/fd/${fd}/${basename(path)}`, [Symbol.dispose]: () => closeSync(fd) }
}

const openFolder = constants.O_RDONLY | constants.O_DIRECTORY
const ofHost = new Set(['/', '/usr', '/var'])

/** Closes the folder that the part is in. */
function openPart(folder: number, part: string, flags: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${folder}/${part}`, flags)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined
    throw error
  } finally {
    closeSync(folder)
  }
}
