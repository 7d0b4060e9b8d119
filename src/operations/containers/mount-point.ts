import { closeSync, constants, openSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import { mountsAt } from '../../host/mounts.ts'
import type { Context } from '../context.ts'

/** An empty directory, held open: whatever becomes of its name, this is what is mounted at. */
export interface MountPoint extends Disposable {
  readonly fd: number
  /** Without symbolic links. */
  readonly path: string
}

/**
 * Opens a directory to mount something at. What lies in it would be hidden, and what is mounted at it covered.
 *
 * @throws ForerunError `mount` when it is absent, no directory, not empty, mounted at, or forerun's own.
 */
export function openMountPoint(directory: string, { paths }: Context): MountPoint {
  const fd = openDirectory(directory)
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`)
    if (mountsAt(path) > 0) {
      throw new ForerunError('mount', `something is mounted at '${path}' already`, {
        hint: `Give another directory. What it is: findmnt '${path}'`,
      })
    }
    if (readdirSync(`/proc/self/fd/${fd}`).length > 0) {
      throw new ForerunError('mount', `the directory '${path}' is not empty: a mount would hide what is in it`, {
        hint: 'Give an empty directory, for example a new one.',
      })
    }
    if ([paths.store, paths.containers].some((place) => isWithin(place, path))) {
      throw new ForerunError('mount', `'${path}' is one of forerun's own directories`, {
        hint: 'Give a directory elsewhere, for example below /mnt.',
      })
    }
    return { fd, path, [Symbol.dispose]: () => closeSync(fd) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openDirectory(directory: string): number {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') throw absentDirectory(directory, cause)
    if (code !== 'ENOTDIR') throw cause
    throw new ForerunError('mount', `'${directory}' is not a directory`, { cause, hint: 'Give an empty directory.' })
  }
}

export function absentDirectory(directory: string, cause: unknown): ForerunError {
  return new ForerunError('mount', `there is no directory '${directory}'`, {
    cause,
    hint: `Make it first: mkdir '${directory}'`,
  })
}

/** A place that is not there yet holds nothing. */
function isWithin(place: string, path: string): boolean {
  try {
    return `${path}/`.startsWith(`${realpathSync(place)}/`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
