import type { ByteString } from './entry.ts'
import { type DirectoryNode, placeholder } from './node.ts'
import { resolveDirectory, resolvePath } from './resolve.ts'

/**
 * Makes sure that there is something to mount on at a path of a tree, so that the runtime need not make it in a checkout
 * whose files are shared. What is there stays; a symbolic link that leads nowhere is left to the runtime.
 *
 * @throws ForerunError `layer` when a part of the path is a file.
 */
export function addMountPoint(root: DirectoryNode, path: ByteString, kind: 'directory' | 'file'): void {
  if (resolvePath(root, path) !== undefined) return
  if (kind === 'directory') {
    resolveDirectory(root, path)
    return
  }
  const slash = path.lastIndexOf('/')
  const parent = resolveDirectory(root, path.slice(0, Math.max(slash, 0)))
  const name = path.slice(slash + 1)
  if (!parent.children.has(name)) parent.children.set(name, placeholder())
}
