import type { Metadata } from '../../src/tree/entry.ts'
import type { StoredEntry } from '../../src/tree/merge.ts'
import type { DirectoryNode, TreeNode } from '../../src/tree/node.ts'

/** Makes stored entries for tests of the tree, in few words. */
export const metadata: Metadata = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 1, nanoseconds: 0 },
  xattrs: new Map(),
}

export function file(path: string, object: string = path): StoredEntry {
  return { kind: 'file', path, metadata, size: object.length, object }
}

export function directory(path: string, mode = 0o755): StoredEntry {
  return { kind: 'directory', path, metadata: { ...metadata, mode } }
}

export function symlink(path: string, target: string): StoredEntry {
  return { kind: 'symlink', path, metadata, target }
}

export function hardlink(path: string, target: string): StoredEntry {
  return { kind: 'hardlink', path, metadata, target }
}

/** All names of a tree with what they are: `['a', 'a/b=object', 'c->target']`. */
export function listing(root: DirectoryNode, prefix = ''): string[] {
  return [...root.children].flatMap(([name, node]) => describe(`${prefix}${name}`, node)).sort()
}

function describe(path: string, node: TreeNode): string[] {
  if (node.kind === 'directory') return [`${path}/`, ...listing(node, `${path}/`)]
  if (node.kind === 'file') return [`${path}=${node.object}`]
  return [node.kind === 'symlink' ? `${path}->${node.target}` : `${path}:${node.kind}`]
}
