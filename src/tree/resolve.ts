import { ForerunError } from '../errors.ts'
import { type ByteString, displayPath } from './entry.ts'
import { type DirectoryNode, impliedDirectory, type TreeNode } from './node.ts'

/**
 * The node at a path of a merged tree, as a process whose root is the tree would find it: symbolic links, absolute ones
 * too, are followed in the tree and never leave it. The path may begin with `/`.
 *
 * @returns undefined when there is none, or when the links have no end.
 */
export function resolvePath(root: DirectoryNode, path: ByteString): TreeNode | undefined {
  return walk(root, path, { followLast: true, missing: 'stop' })
}

/** As `resolvePath`, but a symbolic link at the end of the path is itself the result. */
export function resolveName(root: DirectoryNode, path: ByteString): TreeNode | undefined {
  return walk(root, path, { followLast: false, missing: 'stop' })
}

/** As `resolvePath` for a directory; what is missing on the way is made with default metadata. @throws ForerunError `layer`. */
export function resolveDirectory(root: DirectoryNode, path: ByteString): DirectoryNode {
  const node = walk(root, path, { followLast: true, missing: 'make' })
  if (node === undefined) {
    throw new ForerunError('layer', `symbolic links without end at '${displayPath(path)}'`, {
      hint: 'The image is malformed: have it built anew.',
    })
  }
  if (node.kind !== 'directory') {
    throw new ForerunError('layer', `'${displayPath(path)}' is a ${node.kind} where a directory is needed`, {
      hint: 'The image is malformed: have it built anew.',
    })
  }
  return node
}

/** As many symbolic links as Linux follows in one path. */
export const maximumLinks = 40

function walk(
  root: DirectoryNode,
  path: ByteString,
  options: { followLast: boolean; missing: 'stop' | 'make' },
): TreeNode | undefined {
  const ancestors: DirectoryNode[] = []
  let current: TreeNode = root
  let links = 0
  const rest = path.split('/').reverse()
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === '' || part === '.') continue
    if (current.kind !== 'directory') return options.missing === 'make' ? current : undefined
    if (part === '..') {
      current = ancestors.pop() ?? root
      continue
    }
    let child: TreeNode | undefined = current.children.get(part)
    if (child === undefined) {
      if (options.missing === 'stop') return undefined
      child = impliedDirectory()
      current.children.set(part, child)
    }
    if (child.kind === 'symlink' && (options.followLast || rest.some((name) => name !== ''))) {
      if (++links > maximumLinks) return undefined
      if (child.target.startsWith('/')) {
        ancestors.length = 0
        current = root
      }
      rest.push(...child.target.split('/').reverse())
      continue
    }
    ancestors.push(current)
    current = child
  }
  return current
}
