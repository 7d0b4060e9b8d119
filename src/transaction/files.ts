import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { renameExclusive } from '../host/system-calls.ts'
import type { Change, ChangeHost, RecordOf } from './change.ts'

export interface Ownership {
  /** 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** The bytes of a new file, or the path of the file that it is to be a copy of. */
export type FileContent = { readonly bytes: Uint8Array } | { readonly copyOf: string | Buffer }

/** A new file. Its directory must exist. @throws ForerunError `file-exists`. */
export function writeFile(path: string, content: FileContent, ownership: Ownership): Change {
  const temporary = asideOf(path)
  return {
    prepare() {
      refusePresent(path)
      return { kind: 'write-file', path, temporary, sha256: contentSha256(content) }
    },
    apply() {
      if ('bytes' in content) writeFileSync(temporary, content.bytes, { flag: 'wx', mode: 0o600 })
      else copyFileSync(content.copyOf, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
      chownSync(temporary, ownership.uid, ownership.gid)
      chmodSync(temporary, ownership.mode)
      // Else a power cut could leave the name with less than its content, which undoing would take for the user's own.
      syncFile(temporary)
      renameOrRefuse(temporary, path)
    },
  }
}

/** What has been changed since it was written is kept, with a notice. */
export function undoWriteFile(record: RecordOf<'write-file'>, host: ChangeHost): void {
  // What was never made is not removed: a file system that is read-only would refuse even that.
  if (isPresent(record.temporary)) unlinkSync(record.temporary)
  if (!isPresent(record.path)) return
  if (fileSha256(record.path) === record.sha256) unlinkSync(record.path)
  else host.emit({ type: 'notice', message: `Will not delete ${record.path} as it was manually modified.` })
}

/** A new symbolic link; its mode means nothing. @throws ForerunError `file-exists`. */
export function makeSymlink(path: string, target: string, owner: Omit<Ownership, 'mode'>): Change {
  return {
    prepare() {
      refusePresent(path)
      return { kind: 'make-symlink', path, target }
    },
    apply() {
      symlinkSync(target, path)
      // A directory with the setgid bit gives its group to what is made in it.
      lchownSync(path, owner.uid, owner.gid)
    },
  }
}

export function undoMakeSymlink(record: RecordOf<'make-symlink'>): void {
  if (linkTarget(record.path) === record.target) unlinkSync(record.path)
}

/** A directory that may exist already, or a link to one, and is then left as it is. @throws ForerunError `host-file`. */
export function makeDirectory(path: string, ownership: Ownership): Change {
  return {
    prepare() {
      const made = !isPresent(path)
      if (!made) refuseOther(path)
      return { kind: 'make-directory', path, made }
    },
    apply() {
      if (isPresent(path)) return
      mkdirSync(path, { mode: 0o700 })
      chownSync(path, ownership.uid, ownership.gid)
      chmodSync(path, ownership.mode)
    },
  }
}

export function undoMakeDirectory(record: RecordOf<'make-directory'>): void {
  if (record.made) removeEmptyDirectory(record.path)
}

/**
 * Takes a file or symbolic link away: to a hidden name beside it, where undoing finds the very inode, and for good once
 * the transaction has been committed.
 */
export function removeFile(path: string): Change {
  const aside = asideOf(path)
  return {
    prepare: () => ({ kind: 'remove-file', path, aside }),
    apply: () => renameExclusive(path, aside),
  }
}

export function undoRemoveFile(record: RecordOf<'remove-file'>): void {
  if (isPresent(record.aside)) renameExclusive(record.aside, record.path)
}

export function finishRemoveFile(record: RecordOf<'remove-file'>): void {
  rmSync(record.aside, { force: true })
}

/** Once the transaction has been committed, removes what holds nothing, the last given first; anything else is kept and told of. */
export function removeEmpty(paths: readonly string[]): Change {
  return { prepare: () => ({ kind: 'remove-empty', paths }), apply() {} }
}

export function finishRemoveEmpty(record: RecordOf<'remove-empty'>, host: ChangeHost): void {
  for (const path of record.paths.toReversed()) {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined) continue
    if (status.isDirectory()) removeEmptyDirectory(path)
    else if (!status.isFile() || status.size === 0) unlinkSync(path)
    if (isPresent(path)) host.emit({ type: 'notice', message: `Kept ${path}, which is not empty.` })
  }
}

/** A rename within one file system; `discard` removes the result once the transaction has been committed. */
export function rename(path: string, to: string, options: { discard?: boolean } = {}): Change {
  return {
    prepare: () => ({ kind: 'rename', path, to, discard: options.discard ?? false }),
    apply: () => renameOrRefuse(path, to),
  }
}

export function undoRename(record: RecordOf<'rename'>): void {
  if (isPresent(record.to) && !isPresent(record.path)) renameExclusive(record.to, record.path)
}

export function finishRename(record: RecordOf<'rename'>): void {
  if (record.discard) rmSync(record.to, { recursive: true, force: true })
}

/** SHA-256 in hexadecimal. */
export function contentSha256(content: FileContent): string {
  if ('bytes' in content) return createHash('sha256').update(content.bytes).digest('hex')
  const sha256 = fileSha256(content.copyOf)
  if (sha256 === undefined) throw new Error(`${content.copyOf} is no regular file`)
  return sha256
}

/** SHA-256 of a regular file in hexadecimal; undefined for anything else. */
export function fileSha256(path: string | Buffer): string | undefined {
  if (!lstatSync(path).isFile()) return undefined
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(1024 * 1024)
  const fd = openSync(path, 'r')
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      hash.update(buffer.subarray(0, length))
    }
  } finally {
    closeSync(fd)
  }
  return hash.digest('hex')
}

/** Whether there is a name, a dangling link too. */
export function isPresent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
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

function syncFile(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
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

function asideOf(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.forerun-${randomBytes(6).toString('hex')}`)
}

function linkTarget(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(path) : undefined
}
