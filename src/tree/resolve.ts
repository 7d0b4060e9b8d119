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
  const found = walk(root, path, { followLast: true, missing: 'stop' })
  return found.outcome === 'found' ? found.node : undefined
}

/** As `resolvePath`, but a symbolic link at the end of the path is itself the result. */
export function resolveName(root: DirectoryNode, path: ByteString): Resolution {
  return walk(root, path, { followLast: false, missing: 'stop' })
}

/** As `resolvePath` for a directory; what is missing on the way is made with default metadata. @throws ForerunError `layer`. */
export function resolveDirectory(root: DirectoryNode, path: ByteString): DirectoryNode {
  const found = walk(root, path, { followLast: true, missing: 'make' })
  if (found.outcome === 'found' && found.node.kind === 'directory') return found.node
  const obstacle = found.outcome === 'found' ? { path: found.path, kind: found.node.kind } : found
  const message =
    'kind' in obstacle
      ? `'${displayPath(obstacle.path)}' is a ${obstacle.kind} where a directory is needed`
      : `symbolic links without end at '${displayPath(path)}'`
  throw new ForerunError('layer', message, { hint: 'The image is malformed: have it built anew.' })
}

/** What is at the end of a path, or why its end is not reached. */
export type Resolution =
  /** `path`: without links. */
  | { readonly outcome: 'found'; readonly path: ByteString; readonly node: TreeNode }
  | { readonly outcome: 'absent' | 'endless' }
  /** Something on the way is no directory. */
  | { readonly outcome: 'blocked'; readonly path: ByteString; readonly kind: TreeNode['kind'] }

/**
 * The absolute path, without symbolic links, that a path leads to in a tree. What is missing may be on the way.
 *
 * @returns undefined when the links have no end.
 */
export function realPath(root: DirectoryNode, path: ByteString): ByteString | undefined {
  const names: ByteString[] = []
  const nodes: (TreeNode | undefined)[] = [root]
  let links = 0
  const rest = path.split('/').reverse()
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (names.pop() !== undefined) nodes.pop()
      continue
    }
    const above = nodes.at(-1)
    const node = above?.kind === 'directory' ? above.children.get(part) : undefined
    if (node?.kind !== 'symlink') {
      names.push(part)
      nodes.push(node)
      continue
    }
    if (++links > maximumLinks) return undefined
    if (node.target.startsWith('/')) {
      names.length = 0
      nodes.length = 1
    }
    rest.push(...node.target.split('/').reverse())
  }
  return `/${names.join('/')}`
}

/** As many symbolic links as Linux follows in one path. */
export const maximumLinks = 40

function walk(
  root: DirectoryNode,
  path: ByteString,
  options: { followLast: boolean; missing: 'stop' | 'make' },
): Resolution {
  const ancestors: DirectoryNode[] = []
  /** Of `current`, a name for each ancestor. */
  const names: ByteString[] = []
  let current: TreeNode = root
  let links = 0
  const rest = path.split('/').reverse()
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === '' || part === '.') continue
    if (current.kind !== 'directory') return { outcome: 'blocked', path: names.join('/'), kind: current.kind }
    if (part === '..') {
      current = ancestors.pop() ?? root
      names.pop()
      continue
    }
    let child: TreeNode | undefined = current.children.get(part)
    if (child === undefined) {
      if (options.missing === 'stop') return { outcome: 'absent' }
      child = impliedDirectory()
      current.children.set(part, child)
    }
    if (child.kind === 'symlink' && (options.followLast || rest.some((name) => name !== ''))) {
      if (++links > maximumLinks) return { outcome: 'endless' }
      if (child.target.startsWith('/')) {
        ancestors.length = 0
        names.length = 0
        current = root
      }
      rest.push(...child.target.split('/').reverse())
      continue
    }
    ancestors.push(current)
    names.push(part)
    current = child
  }
  return { outcome: 'found', path: names.join('/'), node: current }
}
