import { closeSync, constants, openSync } from 'node:fs'
import type { ByteString } from '../tree/entry.ts'
import { filePath } from './metadata.ts'

/** A folder by a path that a system call takes, whatever the length of its own. Valid until it is disposed of. */
export interface ReachedFolder extends Disposable {
  readonly path: ByteString
}

/**
 * Reaches a folder piece by piece where its path is longer than the kernel's 4,095 bytes less a name. The parts of the
 * path must be folders that nobody else can change.
 */
export function reachFolder(path: ByteString): ReachedFolder {
  let fd: number | undefined
  let rest = path
  const close = () => {
    if (fd !== undefined) closeSync(fd)
    fd = undefined
  }
  while (rest.length > longest) {
    const slash = rest.lastIndexOf('/', longest)
    try {
      const next = openSync(filePath(rest.slice(0, slash)), constants.O_RDONLY | constants.O_DIRECTORY)
      close()
      fd = next
    } catch (error) {
      close()
      throw error
    }
    rest = `/proc/self/fd/${fd}${rest.slice(slash)}`
  }
  return { path: rest, [Symbol.dispose]: close }
}

/** As `reachFolder`, for a name in a folder. */
export function reachName(path: ByteString): ReachedFolder {
  if (path.length <= longest) return { path, [Symbol.dispose]() {} }
  const slash = path.lastIndexOf('/')
  const folder = reachFolder(path.slice(0, slash))
  return { path: `${folder.path}${path.slice(slash)}`, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

/** Leaves room for a name, and for what callers put before it. */
const longest = 3800
