import { type ByteString, byteString } from './entry.ts'
import type { DirectoryNode } from './node.ts'

/**
 * Programs of an image that give more privileges to whoever starts them: set-uid, set-gid, and file capabilities. Those below
 * `/exports` are for the host, and no process of the container starts them.
 */
export function privilegedFiles(folder: DirectoryNode, prefix: ByteString = ''): ByteString[] {
  const found: ByteString[] = []
  for (const [name, node] of folder.children) {
    const path = `${prefix}/${name}`
    if (path === '/exports') continue
    if (node.kind === 'directory') found.push(...privilegedFiles(node, path))
    if (node.kind !== 'file') continue
    const { mode, xattrs } = node.metadata
    // Without the right to execute, the set-gid bit once meant mandatory locking.
    const gives = (mode & 0o4000) !== 0 || (mode & 0o2010) === 0o2010 || xattrs.has(capability)
    if (gives) found.push(path)
  }
  return found
}

const capability = byteString('security.capability')
