import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { type ByteString, byteString, type Metadata } from '../tree/entry.ts'
import type { DirectoryNode, TreeNode } from '../tree/node.ts'
import { filePath } from './metadata.ts'

/**
 * The tree of a folder on the disk, as `mergeLayers` makes one of layers; a file's object is its path as a byte string.
 * Extended attributes are not read, and names of one inode are not told apart from copies. Follows no link.
 */
export function scanTree(folder: string): DirectoryNode {
  const path = byteString(folder)
  const root = scanNode(path)
  if (root?.kind !== 'directory') throw Object.assign(new Error(`ENOTDIR: ${folder}`), { code: 'ENOTDIR' })
  return root
}

/** undefined for a socket, which no tree holds. */
function scanNode(path: ByteString): TreeNode | undefined {
  const name = filePath(path)
  const status = lstatSync(name, { bigint: true })
  const metadata: Metadata = {
    mode: Number(status.mode & 0o7777n),
    uid: Number(status.uid),
    gid: Number(status.gid),
    mtime: timestamp(status.mtimeNs),
    xattrs: new Map(),
  }
  if (status.isDirectory()) return { kind: 'directory', metadata, children: scanChildren(path) }
  if (status.isFile()) return { kind: 'file', metadata, size: Number(status.size), object: path }
  if (status.isSymbolicLink()) return { kind: 'symlink', metadata, target: readlinkSync(name, 'latin1') }
  if (status.isFIFO()) return { kind: 'fifo', metadata }
  if (status.isSocket()) return undefined
  const kind = status.isBlockDevice() ? 'block-device' : 'character-device'
  return { kind, metadata, major: Number((status.rdev >> 8n) & 0xfffn), minor: Number(status.rdev & 0xffn) }
}

function scanChildren(path: ByteString): Map<ByteString, TreeNode> {
  const children = new Map<ByteString, TreeNode>()
  for (const name of readdirSync(filePath(path), { encoding: 'latin1' })) {
    const node = scanNode(`${path}/${name}`)
    if (node !== undefined) children.set(name, node)
  }
  return children
}

function timestamp(nanoseconds: bigint): Metadata['mtime'] {
  const billion = 1_000_000_000n
  const rest = ((nanoseconds % billion) + billion) % billion
  return { seconds: Number((nanoseconds - rest) / billion), nanoseconds: Number(rest) }
}
