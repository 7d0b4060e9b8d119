import type { LayerLimits } from '../image/layer-limits.ts'
import { type ByteString, displayPath, type LayerEntry, type Metadata } from '../tree/entry.ts'
import { isImpossibleWhiteout } from '../tree/whiteout.ts'
import { archivePath } from './archive-path.ts'
import { LayerFault } from './fault.ts'
import { libarchiveAttribute, type PaxRecords, paxNumber, paxText, paxTime, schilyAttribute } from './pax.ts'
import type { TarHeader } from './tar-header.ts'

/** What headers before an entry's own say of it, in the order in which they hold: later records win. */
export interface Extensions {
  readonly records: PaxRecords
  /** From GNU's `L` and `K` members. */
  readonly longName: ByteString | undefined
  readonly longLink: ByteString | undefined
}

/** A header with everything that overrides its fields. */
export interface TarMember {
  readonly kind: LayerEntry['kind']
  readonly path: ByteString
  readonly target: ByteString
  /** Bytes in the archive. */
  readonly stored: number
  readonly metadata: Metadata
  readonly major: number
  readonly minor: number
}

/**
 * Applies extended headers to a header.
 *
 * @throws LayerFault when the result cannot be a file on Linux or passes a limit.
 */
export function tarMember(header: TarHeader, extensions: Extensions, limits: LayerLimits): TarMember {
  const fields = { ...header, link: header.linkName, mtime: { seconds: header.mtime, nanoseconds: 0 } }
  const foreign = new Map<ByteString, Buffer>()
  const xattrs = new Map<ByteString, Buffer>()
  for (const [keyword, value] of extensions.records) {
    if (value.length === 0 && !keyword.includes('.xattr.')) continue
    if (keyword === 'path' || keyword === 'GNU.sparse.name') fields.name = paxText(keyword, value)
    else if (keyword === 'linkpath') fields.link = paxText(keyword, value)
    else if (keyword === 'size') fields.size = paxNumber(keyword, value)
    else if (keyword === 'uid') fields.uid = paxNumber(keyword, value)
    else if (keyword === 'gid') fields.gid = paxNumber(keyword, value)
    else if (keyword === 'mtime') fields.mtime = paxTime(keyword, value)
    else if (keyword === 'SCHILY.devmajor') fields.major = paxNumber(keyword, value)
    else if (keyword === 'SCHILY.devminor') fields.minor = paxNumber(keyword, value)
    else {
      const attribute = schilyAttribute(keyword, value)
      if (attribute !== undefined) xattrs.set(...attribute)
      const other = libarchiveAttribute(keyword, value)
      if (other !== undefined) foreign.set(...other)
    }
  }
  for (const [name, value] of foreign) if (!xattrs.has(name)) xattrs.set(name, value)
  const name = extensions.longName ?? fields.name
  const path = archivePath(name, limits)
  const kind = memberKind(header.type, name)
  if (kind === undefined) throw new LayerFault(`${quoted(path)} of an unknown type ('${printable(header.type)}')`)
  if (path === '' && kind !== 'directory') throw new LayerFault(`a ${kind} without a name`)
  if (isImpossibleWhiteout(path)) throw new LayerFault(`${quoted(path)}, a whiteout of no name`)
  if (fields.size < 0) throw new LayerFault(`${quoted(path)} of a negative size`)
  checkOwner(path, fields)
  if (kind === 'character-device' || kind === 'block-device') checkDevice(path, fields)
  return {
    kind,
    path,
    target: linkTarget(kind, extensions.longLink ?? fields.link, { path, limits }),
    stored: fields.size,
    metadata: {
      mode: fields.mode & 0o7777,
      uid: fields.uid,
      gid: fields.gid,
      mtime: fields.mtime,
      xattrs: xattrs.size === 0 ? noAttributes : checkedAttributes(path, { xattrs, limits }),
    },
    major: fields.major,
    minor: fields.minor,
  }
}

/** The entry of a member; `size` is that of a file with its holes. */
export function layerEntry({ kind, path, target, metadata, major, minor }: TarMember, size: number): LayerEntry {
  switch (kind) {
    case 'file':
      return { kind, path, metadata, size }
    case 'symlink':
    case 'hardlink':
      return { kind, path, metadata, target }
    case 'character-device':
    case 'block-device':
      return { kind, path, metadata, major, minor }
    case 'directory':
    case 'fifo':
      return { kind, path, metadata }
  }
}

const noAttributes: ReadonlyMap<ByteString, Buffer> = new Map()

/** As engines have it: what they do not know is refused, since nobody could say what the image meant. */
function memberKind(type: string, name: ByteString): LayerEntry['kind'] | undefined {
  // Archives older than POSIX know a directory by its trailing slash.
  if (type === '\0') return name.endsWith('/') ? 'directory' : 'file'
  return kinds[type]
}

/** `7` is a contiguous file, `S` a sparse one of GNU's older format, `D` a directory with GNU's list of its names. */
const kinds: Record<string, LayerEntry['kind']> = {
  0: 'file',
  1: 'hardlink',
  2: 'symlink',
  3: 'character-device',
  4: 'block-device',
  5: 'directory',
  6: 'fifo',
  7: 'file',
  S: 'file',
  D: 'directory',
}

function quoted(path: ByteString): string {
  return `'${displayPath(path)}'`
}

function printable(type: string): string {
  return /[!-~]/.test(type) ? type : `\\x${type.charCodeAt(0).toString(16).padStart(2, '0')}`
}

function checkOwner(path: ByteString, { uid, gid }: { uid: number; gid: number }): void {
  for (const id of [uid, gid]) {
    // The highest number means "leave it" to chown(2).
    if (id < 0 || id >= 0xffffffff) throw new LayerFault(`${quoted(path)} of an impossible owner (${id})`)
  }
}

function checkDevice(path: ByteString, { major, minor }: { major: number; minor: number }): void {
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) {
    throw new LayerFault(`${quoted(path)} of an impossible device number (${major}, ${minor})`)
  }
}

function linkTarget(
  kind: LayerEntry['kind'],
  link: ByteString,
  { path, limits }: { path: ByteString; limits: LayerLimits },
): ByteString {
  if (kind !== 'symlink' && kind !== 'hardlink') return ''
  if (link === '') throw new LayerFault(`${quoted(path)}, a ${kind} to nothing`)
  if (kind === 'symlink') {
    checkSymlinkTarget(link, { path, limits })
    return link
  }
  const target = archivePath(link, limits)
  if (target === '') throw new LayerFault(`${quoted(path)}, a hardlink to the root directory`)
  return target
}

/** What the kernel takes; the parts of it matter only to who follows it. */
function checkSymlinkTarget(target: ByteString, { path, limits }: { path: ByteString; limits: LayerLimits }): void {
  if (target.length > limits.pathLength) {
    throw new LayerFault(`${quoted(path)}, a symlink to ${target.length} bytes (${limits.pathLength} are allowed)`, {
      limit: 'pathLength',
    })
  }
  if (target.length > longestTarget) throw new LayerFault(`${quoted(path)}, a symlink to ${target.length} bytes`)
}

/** PATH_MAX of Linux without the terminating NUL. */
const longestTarget = 4095

function checkedAttributes(
  path: ByteString,
  { xattrs, limits }: { xattrs: Map<ByteString, Buffer>; limits: LayerLimits },
): ReadonlyMap<ByteString, Buffer> {
  if (xattrs.size > limits.xattrs) {
    throw new LayerFault(`${quoted(path)} with ${xattrs.size} extended attributes (${limits.xattrs} are allowed)`, {
      limit: 'xattrs',
    })
  }
  for (const [name, value] of xattrs) {
    if (name === '' || name.includes('\0'))
      throw new LayerFault(`${quoted(path)} with an extended attribute without a name`)
    if (value.length > limits.xattrSize) {
      throw new LayerFault(
        `${quoted(path)} with an extended attribute of ${value.length} bytes (${limits.xattrSize} are allowed)`,
        { limit: 'xattrSize' },
      )
    }
  }
  return new Map([...xattrs].sort(([one], [other]) => (one < other ? -1 : 1)))
}
