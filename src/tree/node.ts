import type { ByteString, Metadata } from './entry.ts'

/** SHA-256 over the content and inode metadata of a regular file, in hexadecimal; names it in the store. */
export type ObjectId = string

/**
 * An inode of a merged tree. Hard links are several names for one and the same node. Nodes other than directories are
 * never changed once made.
 */
export type TreeNode = FileNode | DirectoryNode | SymlinkNode | DeviceNode | FifoNode | PlaceholderNode

export interface FileNode {
  readonly kind: 'file'
  readonly metadata: Metadata
  readonly size: number
  readonly object: ObjectId
}

export interface DirectoryNode {
  readonly kind: 'directory'
  metadata: Metadata
  readonly children: Map<ByteString, TreeNode>
}

export interface SymlinkNode {
  readonly kind: 'symlink'
  readonly metadata: Metadata
  readonly target: ByteString
}

export interface DeviceNode {
  readonly kind: 'character-device' | 'block-device'
  readonly metadata: Metadata
  readonly major: number
  readonly minor: number
}

export interface FifoNode {
  readonly kind: 'fifo'
  readonly metadata: Metadata
}

/** An empty file that no layer holds, made to be covered by a mount. */
export interface PlaceholderNode {
  readonly kind: 'placeholder'
  readonly metadata: Metadata
}

/** A directory that no layer describes: the root, or a parent that a layer left out. */
export function impliedDirectory(): DirectoryNode {
  return { kind: 'directory', metadata: impliedMetadata, children: new Map() }
}

const impliedMetadata: Metadata = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
}

/** An empty file to be covered by a mount. */
export function placeholder(): PlaceholderNode {
  return { kind: 'placeholder', metadata: { ...impliedMetadata, mode: 0o644 } }
}
