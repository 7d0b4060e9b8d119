import { chmodSync, fchmodSync, fchownSync, fstatSync, lchownSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import {
  removeExtendedAttribute,
  setExtendedAttribute,
  setExtendedAttributeOfOpenFile,
  setTimes,
  setTimesOfOpenFile,
} from '../host/system-calls.ts'
import { type ByteString, displayPath, type Metadata, pathBytes } from '../tree/entry.ts'
import { isAttributeOf } from './attributes.ts'

/**
 * A name as Node's file functions take it: text where every byte is ASCII, else a Buffer, so that no byte is changed.
 * The text is quicker.
 */
export function filePath(path: ByteString): string | Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  return /^[\x00-\x7f]*$/.test(path) ? path : pathBytes(path)
}

/**
 * Gives a name its owner, mode, extended attributes and modification time, in the order in which none undoes another:
 * a change of owner clears setuid and file capabilities, and everything changes times. Never follows a symbolic link.
 *
 * @throws ForerunError `store` where the file system cannot hold an extended attribute, `layer` where nothing could.
 */
export function applyMetadata(path: ByteString, metadata: Metadata, options: { symlink: boolean }): void {
  const name = filePath(path)
  lchownSync(name, metadata.uid, metadata.gid)
  if (!options.symlink) chmodSync(name, metadata.mode)
  applyAttributesAndTimeByName(path, metadata)
}

function applyAttributesAndTimeByName(path: ByteString, { xattrs, mtime }: Metadata): void {
  const bytes = pathBytes(path)
  for (const [attribute, value] of xattrs) {
    orUnsupported(path, attribute, () => setExtendedAttribute(bytes, pathBytes(attribute), value))
  }
  setTimes(bytes, mtime.seconds, mtime.nanoseconds)
}

/** For a folder that was just made: what an administrator has set on a folder above would else be on all that is made in it. */
export function handDownNothing(folder: ByteString): void {
  chmodSync(filePath(folder), 0o700)
  for (const name of ['system.posix_acl_default', 'system.posix_acl_access']) {
    removeExtendedAttribute(pathBytes(folder), pathBytes(name))
  }
}

/** What a file has that this process makes, in a folder that hands down neither group nor access control list. */
export interface NewFileOwner {
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly umask: number
}

export function ownerOfNewFiles(): NewFileOwner {
  return { uid: process.geteuid?.(), gid: process.getegid?.(), umask: process.umask() }
}

/**
 * The mode to make a file or directory with before its metadata are applied: nobody else may use it before its owner is
 * right, and this process has to fill a directory. (A file that it has made it may write to, whatever the mode.)
 */
export function newMode(kind: 'file' | 'directory', metadata: Metadata, owner: NewFileOwner): number {
  if (!isOwn(metadata, owner)) return kind === 'file' ? 0o600 : 0o700
  return (metadata.mode & 0o777) | (kind === 'file' ? 0 : 0o700)
}

/** Whether owner and mode of what was made with `newMode` are right already. */
function isMadeRight(kind: 'file' | 'directory', metadata: Metadata, owner: NewFileOwner): boolean {
  const { mode } = metadata
  return isOwn(metadata, owner) && (mode & owner.umask) === 0 && mode === newMode(kind, metadata, owner)
}

/** As `applyMetadata`, for an open regular file made with `newMode`: most have their owner and mode then. */
export function applyMetadataToNewFile(
  fd: number,
  file: { path: ByteString; metadata: Metadata },
  owner: NewFileOwner,
): void {
  const { metadata } = file
  if (!isMadeRight('file', metadata, owner)) {
    fchownSync(fd, metadata.uid, metadata.gid)
    fchmodSync(fd, metadata.mode)
  }
  applyAttributesAndTime(fd, file)
}

/** As `applyMetadata`, for a directory made with `newMode`. */
export function applyMetadataToNewDirectory(path: ByteString, metadata: Metadata, owner: NewFileOwner): void {
  if (!isMadeRight('directory', metadata, owner)) {
    const name = filePath(path)
    lchownSync(name, metadata.uid, metadata.gid)
    chmodSync(name, metadata.mode)
  }
  applyAttributesAndTimeByName(path, metadata)
}

/** As `applyMetadata`, for an open regular file. */
export function applyMetadataToOpenFile(fd: number, file: { path: ByteString; metadata: Metadata }): void {
  const { mode, uid, gid } = file.metadata
  const present = fstatSync(fd)
  const hasOwner = present.uid === uid && present.gid === gid
  if (!hasOwner) fchownSync(fd, uid, gid)
  if (!hasOwner || (present.mode & 0o7777) !== mode) fchmodSync(fd, mode)
  applyAttributesAndTime(fd, file)
}

function applyAttributesAndTime(fd: number, { path, metadata }: { path: ByteString; metadata: Metadata }): void {
  for (const [attribute, value] of metadata.xattrs) {
    orUnsupported(path, attribute, () => setExtendedAttributeOfOpenFile(fd, pathBytes(attribute), value))
  }
  setTimesOfOpenFile(fd, metadata.mtime.seconds, metadata.mtime.nanoseconds)
}

function isOwn({ uid, gid }: Metadata, owner: NewFileOwner): boolean {
  return uid === owner.uid && gid === owner.gid
}

function orUnsupported(path: ByteString, attribute: ByteString, set: () => void): void {
  try {
    set()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    const message = `the extended attribute '${displayPath(attribute)}' of '${displayPath(path)}' cannot be set (${code})`
    if (code !== undefined && malformed.has(code)) {
      throw new ForerunError('layer', message, { cause, hint: 'The image is malformed: have it built anew.' })
    }
    // Of a store that an earlier version filled: now such attributes are left out when a layer is unpacked.
    if (!isAttributeOf('file', attribute) || (code === 'EPERM' && attribute.startsWith('user.'))) {
      throw new ForerunError('store', `${message}: no Linux file system could hold it there`, {
        cause,
        hint: 'Remove the image and pull it again, which leaves it out: forerun images delete IMAGE; forerun pull IMAGE.',
      })
    }
    if (code !== undefined && unsupported.has(code)) {
      throw new ForerunError('store', message, {
        cause,
        hint: 'Put the store on a file system with extended attributes, such as ext4, XFS or btrfs.',
      })
    }
    throw cause
  }
}

/** A value that is not what its name says, such as capabilities; a name that is too long. */
const malformed = new Set(['EINVAL', 'ERANGE'])

/** `E2BIG`: more than this file system stores; other reasons for it were limits of the layer. */
const unsupported = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'E2BIG'])
