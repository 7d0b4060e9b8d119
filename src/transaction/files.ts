import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { contentDigest } from '../host/content-digest.ts'
import { removeTree } from '../host/remove-tree.ts'
import { copyOpenFile, fileDigest } from '../host/sparse-file.ts'
import { renameExclusive } from '../host/system-calls.ts'
import type { ChangeKind, FileContent, Ownership } from './change.ts'

/** A new file. Its directory must exist. @throws ForerunError `file-exists`. */
export const writeFile: ChangeKind<'write-file'> = {
  prepare({ path, content }) {
    refusePresent(path)
    return { kind: 'write-file', path, temporary: asideOf(path), digest: digestOfContent(content) }
  },
  apply(change, { temporary }) {
    writeTemporary(temporary, change.content, change)
    renameOrRefuse(temporary, change.path)
  },
  /** What has been changed since it was written is kept, with a notice; so is what another container came to share meanwhile. */
  undo({ path, temporary, digest }, host, containers) {
    // What was never made is not removed: a file system that is read-only would refuse even that.
    if (isPresent(temporary)) unlinkSync(temporary)
    if (!isPresent(path) || host.isOthers(path, containers)) return
    if (digestOfFile(path) === digest) unlinkSync(path)
    else host.emit({ type: 'notice', message: `Will not delete ${path} as it was manually modified.` })
  },
}

/** Another content for a file that is there: at every moment one of the two has the name. */
export const replaceFile: ChangeKind<'replace-file'> = {
  prepare: ({ path }) => ({ kind: 'replace-file', path, temporary: asideOf(path), aside: asideOf(path) }),
  apply(change, { temporary, aside }) {
    writeTemporary(temporary, change.content, change)
    linkSync(change.path, aside)
    renameSync(temporary, change.path)
  },
  undo: undoReplacement,
  finish: finishReplacement,
}

/** A new symbolic link. @throws ForerunError `file-exists`. */
export const makeSymlink: ChangeKind<'make-symlink'> = {
  prepare({ path, target }) {
    refusePresent(path)
    return { kind: 'make-symlink', path, target }
  },
  apply({ path, target, uid, gid }) {
    symlinkSync(target, path)
    // A directory with the setgid bit gives its group to what is made in it.
    lchownSync(path, uid, gid)
  },
  undo({ path, target }) {
    if (linkTarget(path) === target) unlinkSync(path)
  },
}

/** Another target for a symbolic link that is there. */
export const replaceSymlink: ChangeKind<'replace-symlink'> = {
  prepare: ({ path }) => ({ kind: 'replace-symlink', path, temporary: asideOf(path), aside: asideOf(path) }),
  apply({ path, target, uid, gid }, { temporary, aside }) {
    symlinkSync(target, temporary)
    lchownSync(temporary, uid, gid)
    linkSync(path, aside)
    renameSync(temporary, path)
  },
  undo: undoReplacement,
  finish: finishReplacement,
}

/** A directory that may exist already, or a link to one, and is then left as it is. @throws ForerunError `host-file`. */
export const makeDirectory: ChangeKind<'make-directory'> = {
  prepare({ path }) {
    const made = !isPresent(path)
    if (!made) refuseOther(path)
    return { kind: 'make-directory', path, made }
  },
  apply({ path, mode, uid, gid }) {
    if (isPresent(path)) return
    mkdirSync(path, { mode: 0o700 })
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      setOwnership(fd, { mode, uid, gid })
    } finally {
      closeSync(fd)
    }
  },
  undo({ path, made }) {
    if (made) removeEmptyDirectory(path)
  },
}

/**
 * Takes a file or symbolic link away: to a hidden name beside it, where undoing finds the very inode, and for good once
 * the transaction has been committed.
 */
export const removeFile: ChangeKind<'remove-file'> = {
  prepare: ({ path }) => ({ kind: 'remove-file', path, aside: asideOf(path) }),
  apply: ({ path }, { aside }) => renameExclusive(path, aside),
  /** Another container may have placed the same again meanwhile. */
  undo({ path, aside }) {
    if (!isPresent(aside)) return
    if (isPresent(path) && isSameFile(aside, path)) unlinkSync(aside)
    else renameExclusive(aside, path)
  },
  finish({ aside }) {
    rmSync(aside, { force: true })
  },
}

function isSameFile(one: string, other: string): boolean {
  const [target, digest] = [linkTarget(one), digestOfFile(one)]
  return target === linkTarget(other) && digest === digestOfFile(other) && (target ?? digest) !== undefined
}

/** A rename within one file system, to a name that is free. @throws ForerunError `file-exists`. */
export const rename: ChangeKind<'rename'> = {
  prepare: ({ path, to }) => ({ kind: 'rename', path, to }),
  apply: ({ path, to }) => renameOrRefuse(path, to),
  undo: undoRename,
}

/** Takes a folder away, to a hidden name beside it, and removes it once the transaction has been committed. */
export const discard: ChangeKind<'discard'> = {
  prepare: ({ path }) => ({ kind: 'discard', path, to: asideOf(path) }),
  apply: ({ path }, { to }) => renameExclusive(path, to),
  undo: undoRename,
  async finish({ to }, host) {
    const left = await removeTree(to)
    if (left !== undefined) host.emit({ type: 'notice', message: `${to} ${left}. The next command tries it again.` })
  },
}

/** As `contentDigest` tells it. */
export function digestOfContent(content: FileContent): string {
  if ('copyOf' in content) return fileDigest(content.copyOf)
  const digest = contentDigest()
  digest.update(Buffer.from(content.bytes))
  return digest.end()
}

/** As `contentDigest` tells it, of a regular file; undefined for anything else. */
export function digestOfFile(path: string): string | undefined {
  return lstatSync(path).isFile() ? fileDigest(path) : undefined
}

/** Whether there is a name, a dangling link too. */
export function isPresent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Where a symbolic link leads, as it is written; undefined for anything else. */
export function linkTarget(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(path) : undefined
}

/** Removes a directory if it is empty; says nothing when it is not, or is not there. */
export function removeEmptyDirectory(path: string): void {
  if (!isPresent(path)) return
  try {
    rmdirSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EBUSY' && code !== 'ENOTDIR')
      throw error
  }
}

/** By its descriptor throughout: whoever owns the folder could put a link under the name meanwhile. */
function writeTemporary(temporary: string, content: FileContent, ownership: Ownership): void {
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    if ('bytes' in content) writeFileSync(fd, content.bytes)
    else copyInto(fd, content.copyOf)
    setOwnership(fd, ownership)
    // Else a power cut could leave the name with less than its content, which undoing would take for the user's own.
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The content of a file into an open, empty one. */
export function copyInto(fd: number, path: string | Buffer): void {
  const source = openSync(path, 'r')
  try {
    copyOpenFile(source, fd, { clone: true })
  } finally {
    closeSync(source)
  }
}

function setOwnership(fd: number, { mode, uid, gid }: Ownership): void {
  fchownSync(fd, uid, gid)
  fchmodSync(fd, mode)
}

function undoRename({ path, to }: { path: string; to: string }): void {
  if (isPresent(to) && !isPresent(path)) renameExclusive(to, path)
}

function undoReplacement({ path, temporary, aside }: { path: string; temporary: string; aside: string }): void {
  if (isPresent(temporary)) unlinkSync(temporary)
  if (!isPresent(aside)) return
  renameSync(aside, path)
  // Two names of one inode both stay: the name had not been replaced.
  if (isPresent(aside)) unlinkSync(aside)
}

function finishReplacement({ aside }: { aside: string }): void {
  rmSync(aside, { force: true })
}

function refusePresent(path: string): void {
  if (!isPresent(path)) return
  throw new ForerunError('file-exists', `The file ${path} already exists.`, {
    hint: 'Move it away, or choose another name with --name.',
  })
}

function refuseOther(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  throw new ForerunError('host-file', `'${path}' is in the way: it is not a folder, and has to be one`, {
    hint: 'Move it away.',
  })
}

function renameOrRefuse(from: string, to: string): void {
  try {
    renameExclusive(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') refusePresent(to)
    throw error
  }
}

/** A hidden name in the same directory, whatever the length of the other. */
function asideOf(path: string): string {
  return join(dirname(path), `.forerun-${randomBytes(8).toString('hex')}`)
}
