import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { extendedAttributes } from '../host/system-calls.ts'
import { type ByteString, byteString, type Metadata, pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, TreeNode } from '../tree/node.ts'
import { filePath } from './metadata.ts'

/**
 * The tree of a folder on the disk, as `mergeLayers` makes one of layers; a file's object is its path as a byte string.
 * Of extended attributes only the capabilities of programs are read, and names of one inode are not told apart from
 * copies. Follows no link.
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
  if (status.isFile()) {
    const xattrs = (metadata.mode & 0o111) === 0 ? metadata.xattrs : fileCapabilities(path)
    return { kind: 'file', metadata: { ...metadata, xattrs }, size: Number(status.size), object: path }
  }
  if (status.isSymbolicLink()) return { kind: 'symlink', metadata, target: readlinkSync(name, 'latin1') }
  if (status.isFIFO()) return { kind: 'fifo', metadata }
  if (status.isSocket()) return undefined
  const kind = status.isBlockDevice() ? 'block-device' : 'character-device'
  return { kind, metadata, major: Number((status.rdev >> 8n) & 0xfffn), minor: Number(status.rdev & 0xffn) }
}

/** None on a file system that has no attributes. */
function fileCapabilities(path: ByteString): Metadata['xattrs'] {
  try {
    const attributes = extendedAttributes(pathBytes(path))
    return new Map([...attributes].filter(([name]) => name === 'security.capability'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTSUP' || code === 'EOPNOTSUPP') return new Map()
    throw error
  }
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
