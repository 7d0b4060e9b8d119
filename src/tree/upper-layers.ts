import type { ByteString } from './entry.ts'
import { newNode, type StoredEntry } from './merge.ts'
import { type DirectoryNode, impliedDirectory, type TreeNode } from './node.ts'
import { maximumLinks } from './resolve.ts'
import { whiteout } from './whiteout.ts'

/**
 * What the upper layers of an image alone tell of its file system. The nodes are certain, whatever the layers below hold.
 */
export interface UpperTree {
  readonly root: DirectoryNode
  /** Of a directory, what is known of the names that are not among its children; without an entry, there are none. */
  readonly others: WeakMap<DirectoryNode, OtherNames>
  /** Entries of unlisted directories may have made directories that are missing here, where a link below led to them. */
  hasStrays: boolean
}

interface OtherNames {
  /** 'absent': there are none; 'unknown': the layers below may have some. */
  readonly rule: 'absent' | 'unknown'
  /** Names of which the opposite is true. */
  readonly except: Set<ByteString>
}

/** A layer; or, of one that was not read, the name in the root that it surely leaves as it is. */
export type UpperLayer = readonly StoredEntry[] | { readonly leaves: ByteString }

/**
 * As `mergeLayers` for the upper layers of an image, base first, of which others have not been read.
 *
 * A name is certain only below directories that these layers list themselves: any other directory might be a symbolic
 * link in a layer below, and its entries land anywhere. Such an entry makes all of its name uncertain. A layer that lists
 * a directory is taken at its word for the whole of that layer, whatever the order of its archive.
 *
 * @param options.isLowest there are no further layers below.
 */
export function mergeUpperLayers(layers: readonly UpperLayer[], { isLowest }: { isLowest: boolean }): UpperTree {
  const root = impliedDirectory()
  const tree: UpperTree = { root, others: new WeakMap([[root, isLowest ? noOthers() : anyOthers()]]), hasStrays: false }
  for (const layer of layers) {
    if ('leaves' in layer) {
      forgetAllBut(tree, layer.leaves)
      continue
    }
    const listed = new Set(layer.flatMap(({ kind, path }) => (kind === 'directory' ? [path] : [])))
    applyWhiteouts(tree, layer, listed)
    addEntries(tree, layer, listed)
  }
  return tree
}

/**
 * The node at a path of the tree, as `resolvePath` finds it; undefined when it is certain that there is no file; 'unknown'
 * when the layers below decide.
 */
export function lookUp(tree: UpperTree, path: ByteString): TreeNode | undefined | 'unknown' {
  return walk(tree, path, { followLast: true })
}

type Listed = ReadonlySet<ByteString>

function applyWhiteouts(tree: UpperTree, layer: readonly StoredEntry[], listed: Listed): void {
  const strays = new Set<ByteString>()
  for (const { path } of layer) {
    const removal = whiteout(path)
    if (removal === undefined || removal.kind === 'ignored') continue
    const { directory, rest } = descend(tree, removal.directory, listed)
    if (removal.kind === 'name') {
      if (rest.length === 0) removeName(tree, directory, removal.name)
      else strays.add(removal.name)
    } else if (rest.length === 0) {
      directory.children.clear()
      tree.others.set(directory, noOthers())
    } else forgetAll(tree)
  }
  forget(tree, strays)
}

function addEntries(tree: UpperTree, layer: readonly StoredEntry[], listed: Listed): void {
  const strays = new Set<ByteString>()
  for (const entry of layer) {
    if (entry.path === '' || whiteout(entry.path) !== undefined) continue
    const slash = entry.path.lastIndexOf('/')
    const name = entry.path.slice(slash + 1)
    const { directory, rest } = descend(tree, entry.path.slice(0, Math.max(slash, 0)), listed)
    if (rest.length === 0) addEntry(tree, directory, { name, entry })
    else for (const stray of [...rest, name]) strays.add(stray)
  }
  tree.hasStrays ||= strays.size > 0
  forget(tree, strays)
}

/**
 * Goes down a path as far as its parts are directories for certain, making those that have to be there.
 *
 * @returns the last directory, and the parts that are left.
 */
function descend(
  tree: UpperTree,
  path: ByteString,
  listed: Listed,
): { directory: DirectoryNode; rest: readonly ByteString[] } {
  let directory = tree.root
  if (path === '') return { directory, rest: [] }
  const parts = path.split('/')
  for (const [index, part] of parts.entries()) {
    const mustBe = isAbsent(tree, directory, part) || listed.has(parts.slice(0, index + 1).join('/'))
    const child = directory.children.get(part) ?? (mustBe ? addDirectory(tree, directory, part) : undefined)
    if (child?.kind !== 'directory') return { directory, rest: parts.slice(index) }
    directory = child
  }
  return { directory, rest: [] }
}

/** Whether it is certain that a directory does not have a name. */
function isAbsent(tree: UpperTree, directory: DirectoryNode, name: ByteString): boolean {
  if (directory.children.has(name)) return false
  const others = tree.others.get(directory)
  return others === undefined || (others.rule === 'absent') !== others.except.has(name)
}

/** A directory that takes the place of another kind, or of nothing for certain, has nothing of the layers below. */
function addDirectory(tree: UpperTree, parent: DirectoryNode, name: ByteString): DirectoryNode {
  const directory = impliedDirectory()
  const isNew = parent.children.has(name) || (isAbsent(tree, parent, name) && !tree.hasStrays)
  tree.others.set(directory, isNew ? noOthers() : anyOthers())
  parent.children.set(name, directory)
  return directory
}

function addEntry(
  tree: UpperTree,
  parent: DirectoryNode,
  { name, entry }: { name: ByteString; entry: StoredEntry },
): void {
  if (entry.kind === 'directory') {
    const present = parent.children.get(name)
    const directory = present?.kind === 'directory' ? present : addDirectory(tree, parent, name)
    directory.metadata = entry.metadata
  } else if (entry.kind === 'hardlink' && !isLinkable(walk(tree, entry.target, { followLast: false }))) {
    forgetName(tree, parent, name)
  } else parent.children.set(name, newNode(tree.root, entry))
}

/** What is malformed shows when all layers are read. */
function isLinkable(target: TreeNode | undefined | 'unknown'): boolean {
  return target !== undefined && target !== 'unknown' && target.kind !== 'directory'
}

function removeName(tree: UpperTree, directory: DirectoryNode, name: ByteString): void {
  directory.children.delete(name)
  const others = tree.others.get(directory)
  if (others?.rule === 'absent') others.except.delete(name)
  else others?.except.add(name)
}

/** Makes these names uncertain, wherever they are. So many that each could be anywhere make everything uncertain. */
function forget(tree: UpperTree, names: ReadonlySet<ByteString>): void {
  if (names.size > mostForgotten) forgetAll(tree)
  else if (names.size > 0) forgetBelow(tree, tree.root, names)
}

const mostForgotten = 64

function forgetBelow(tree: UpperTree, directory: DirectoryNode, names: ReadonlySet<ByteString>): void {
  for (const name of names) forgetName(tree, directory, name)
  for (const node of directory.children.values()) if (node.kind === 'directory') forgetBelow(tree, node, names)
}

function forgetName(tree: UpperTree, directory: DirectoryNode, name: ByteString): void {
  directory.children.delete(name)
  const others = tree.others.get(directory)
  if (others?.rule === 'absent') others.except.add(name)
  else others?.except.delete(name)
}

function forgetAll(tree: UpperTree): void {
  tree.root.children.clear()
  tree.others.set(tree.root, anyOthers())
}

function forgetAllBut(tree: UpperTree, name: ByteString): void {
  const node = tree.root.children.get(name)
  const wasAbsent = isAbsent(tree, tree.root, name)
  forgetAll(tree)
  if (node !== undefined) tree.root.children.set(name, node)
  else if (wasAbsent) removeName(tree, tree.root, name)
}

function noOthers(): OtherNames {
  return { rule: 'absent', except: new Set() }
}

function anyOthers(): OtherNames {
  return { rule: 'unknown', except: new Set() }
}

/** As the walk of `resolve.ts`, which knows of nothing uncertain. */
function walk(
  tree: UpperTree,
  path: ByteString,
  { followLast }: { followLast: boolean },
): TreeNode | undefined | 'unknown' {
  const ancestors: DirectoryNode[] = []
  let current: TreeNode = tree.root
  let links = 0
  const rest = path.split('/').reverse()
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === '' || part === '.') continue
    if (current.kind !== 'directory') return undefined
    if (part === '..') {
      current = ancestors.pop() ?? tree.root
      continue
    }
    const child: TreeNode | undefined = current.children.get(part)
    const isLast = !rest.some((name) => name !== '')
    if (child === undefined) {
      return isAbsent(tree, current, part) && (isLast || !tree.hasStrays) ? undefined : 'unknown'
    }
    if (child.kind === 'symlink' && (followLast || !isLast)) {
      if (++links > maximumLinks) return undefined
      if (child.target.startsWith('/')) {
        ancestors.length = 0
        current = tree.root
      }
      rest.push(...child.target.split('/').reverse())
      continue
    }
    ancestors.push(current)
    current = child
  }
  return current
}
