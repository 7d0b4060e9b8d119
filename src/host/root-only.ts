import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type ErrorCode, ForerunError } from '../errors.ts'
import { readWhenPresent } from './read-when-present.ts'

/** What lets somebody else than root decide what is at a path. */
export interface ForeignPart {
  /** The file itself, a folder above it, or a link on the way. */
  readonly path: string
  /** `belongs to the user 1000` */
  readonly reason: string
}

/**
 * Refuses a settings file that others than root may change, when this process is root's: whoever writes it would decide
 * for root. What is not there is not refused. Only root can make an accepted path untrue, so it may be read afterwards.
 *
 * @throws ForerunError of that code.
 */
export function requireRootOnly(path: string, code: ErrorCode): void {
  if (!isRoot()) return
  const foreign = foreignPart(path)
  if (foreign === undefined) return
  throw new ForerunError(code, `${path} is not used, since others than root may change it: ${described(foreign)}`, {
    hint: `Check what it says, then give it to root alone: chown root ${foreign.path} && chmod go-w ${foreign.path}`,
  })
}

/**
 * The content of such a file; undefined when there is none.
 *
 * @throws ForerunError of that code; also when it cannot be read.
 */
export function readRootOnly(path: string, code: ErrorCode): Buffer | undefined {
  requireRootOnly(path, code)
  try {
    return readWhenPresent(path)
  } catch (cause) {
    throw new ForerunError(code, `cannot read ${path}: ${(cause as Error).message}`, { hint: `Mend ${path}.`, cause })
  }
}

/**
 * Looks at everything that a path leads through, links included. Others may write to a folder with the sticky bit, such as
 * /tmp, when it is not the last part: they cannot rename or remove what root has in it.
 *
 * @returns undefined when root alone decides, and when there is nothing at the path.
 */
export function foreignPart(path: string): ForeignPart | undefined {
  const rest = parts(resolve(path))
  let at = '/'
  for (let links = 0; ; ) {
    const status = lstatSync(at, { throwIfNoEntry: false })
    if (status === undefined) return undefined
    const reason = foreignReason(status, { isLast: rest.length === 0 })
    if (reason !== undefined) return { path: at, reason }
    if (status.isSymbolicLink()) {
      // The kernel follows no more than 40 (path_resolution(7)).
      if (++links > 40) return { path: at, reason: 'is a link in a circle' }
      const target = readlinkSync(at)
      rest.unshift(...parts(target))
      at = target.startsWith('/') ? '/' : dirname(at)
    } else if (!status.isDirectory() && rest.length > 0) return undefined
    const next = rest.shift()
    if (next === undefined && !status.isSymbolicLink()) return undefined
    if (next !== undefined) at = join(at, next)
  }
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

function described({ path, reason }: ForeignPart): string {
  return `${path} ${reason}`
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '')
}

/** The group's bits stand for access control lists, too (acl(5)). */
function foreignReason(status: Stats, { isLast }: { isLast: boolean }): string | undefined {
  if (status.uid !== 0) return `belongs to the user ${status.uid}`
  if (status.isSymbolicLink() || (status.mode & 0o022) === 0) return undefined
  const isSticky = status.isDirectory() && (status.mode & 0o1000) !== 0
  return isSticky && !isLast ? undefined : 'is writable by others'
}
