import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, type Stats } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { extendedAttributes, removeExtendedAttribute } from '../host/system-calls.ts'
import { type ByteString, byteString, displayPath, pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, FileNode, ObjectId, TreeNode } from '../tree/node.ts'
import { isOfHost } from './attributes.ts'
import { makeName, type Placed } from './checkout.ts'
import type { CheckoutFault } from './checkout-faults.ts'
import { fileMakers } from './checkout-method.ts'
import { reachFolder, reachName } from './long-path.ts'
import { applyMetadata, filePath } from './metadata.ts'
import { objectPath } from './object.ts'

interface CheckoutRepair extends Placed {
  readonly root: ByteString
  /** All names of every inode. */
  readonly names: ReadonlyMap<TreeNode, readonly ByteString[]>
  /** Nodes by object: several files of the image may be just alike. */
  readonly alike: ReadonlyMap<ObjectId, readonly FileNode[]>
  /** Names that have been replaced. */
  readonly mended: Set<ByteString>
}

/**
 * Makes what is wrong in a checkout what the tree says: directories in place, everything else as a new inode that takes the
 * name in one step, so that a process that has the old one open keeps it. All names of one inode are replaced together.
 * The objects must be whole, and the store locked.
 *
 * @throws ForerunError `store` for something that is mounted where nothing should be.
 */
export function repairCheckout(
  store: string,
  { target, tree }: { target: string; tree: DirectoryNode },
  faults: readonly CheckoutFault[],
): void {
  const root = byteString(target)
  const repair = newRepair(store, root, namesOf(tree))
  const touched = new Set<ByteString>()
  const inOrder = [...faults].sort((a, b) => (a.path < b.path ? -1 : 1))
  const inodes: { path: ByteString; node: Inode }[] = []
  // Directories first: what lies in one is reached through nothing else then.
  for (const { path, node } of inOrder) {
    if (path !== '') touched.add(parentOf(path))
    if (node?.kind === 'directory') mendDirectory(root, path, { node, touched, inodes })
    else if (node !== undefined) inodes.push({ path, node })
  }
  for (const { path, node } of inodes) for (const name of mendInode(repair, path, node)) touched.add(parentOf(name))
  const extra = inOrder.filter(({ node }) => node === undefined).map(({ path }) => `${root}${path}`)
  const kept = extra.find((path) => !removeExtra(path))
  const deepestFirst = [...touched].sort((a, b) => b.length - a.length)
  for (const path of deepestFirst) {
    const directory = directoryAt(tree, path)
    if (directory === undefined) continue
    using reached = reachName(`${root}${path}`)
    applyMetadata(reached.path, directory.metadata, { symlink: false })
  }
  if (kept === undefined) return
  throw new ForerunError('store', `'${displayPath(kept)}' is not of the image, and something is mounted there`, {
    hint: 'Unmount it, and repair again.',
  })
}

function namesOf(tree: DirectoryNode): Map<TreeNode, ByteString[]> {
  const names = new Map<TreeNode, ByteString[]>()
  const walk = (path: ByteString, directory: DirectoryNode): void => {
    for (const [name, node] of directory.children) {
      const child = `${path}/${name}`
      if (node.kind === 'directory') walk(child, node)
      else names.set(node, [...(names.get(node) ?? []), child])
    }
  }
  walk('', tree)
  return names
}

type Inode = Exclude<TreeNode, DirectoryNode>

function newRepair(store: string, root: ByteString, names: CheckoutRepair['names']): CheckoutRepair {
  const alike = new Map<ObjectId, FileNode[]>()
  for (const node of names.keys()) {
    if (node.kind === 'file') alike.set(node.object, [...(alike.get(node.object) ?? []), node])
  }
  const isLinked = [...alike.values()].flat().some((node) => isObject(store, root, { node, names }))
  return {
    store,
    root,
    names,
    alike,
    ...fileMakers(isLinked ? 'hardlink' : 'auto', isLinked),
    used: new Set(),
    placed: new Map(),
    mended: new Set(),
  }
}

/** Whether a file of the checkout is the store's own inode. */
function isObject(
  store: string,
  root: ByteString,
  { node, names }: { node: FileNode; names: CheckoutRepair['names'] },
): boolean {
  const [name = ''] = names.get(node) ?? []
  const one = statusOf(`${root}${name}`)
  const other = statusOf(byteString(objectPath(store, node.object)))
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}

/** undefined also where a folder on the way is missing. */
function statusOf(path: ByteString): Stats | undefined {
  try {
    using reached = reachName(path)
    return lstatSync(filePath(reached.path))
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Makes a directory right, with those that it lacks; other inodes that it lacks are put on the list. */
function mendDirectory(
  root: ByteString,
  path: ByteString,
  work: { node: DirectoryNode; touched: Set<ByteString>; inodes: { path: ByteString; node: Inode }[] },
): void {
  const { node, touched, inodes } = work
  using reached = reachName(`${root}${path}`)
  const full = reached.path
  touched.add(path)
  const status = lstatSync(filePath(full), { throwIfNoEntry: false })
  if (status?.isDirectory()) {
    removeOtherAttributes(full, node)
    return
  }
  if (status !== undefined) rmSync(filePath(full))
  mkdirSync(filePath(full), { mode: 0o700 })
  for (const [name, child] of node.children) {
    const below = `${path}/${name}`
    if (child.kind === 'directory') mendDirectory(root, below, { node: child, touched, inodes })
    else inodes.push({ path: below, node: child })
  }
}

/** @returns the names that were replaced: all of a file, so that they are one inode. */
function mendInode(repair: CheckoutRepair, path: ByteString, node: Inode): readonly ByteString[] {
  const { root, names, mended } = repair
  const wanted = (names.get(node) ?? [path]).filter((name) => !mended.has(name))
  if (node.kind === 'file' && hasAlike(repair, node)) repair.used.add(node.object)
  for (const name of wanted) {
    using folder = reachFolder(`${root}${parentOf(name)}`)
    const full = `${folder.path}${name.slice(name.lastIndexOf('/'))}`
    const beside = `${folder.path}/${temporaryName}`
    rmSync(filePath(beside), { force: true })
    makeName(repair, { path: beside, whole: `${root}${name}` }, node)
    if (isFolder(full)) removeExtra(full)
    renameSync(filePath(beside), filePath(full))
    // Where both names were one inode, rename(2) does nothing.
    rmSync(filePath(beside), { force: true })
    mended.add(name)
  }
  return wanted
}

/** Whether another file of the checkout has the store's inode already. */
function hasAlike({ store, root, names, alike }: CheckoutRepair, node: FileNode): boolean {
  const others = alike.get(node.object) ?? []
  return others.some((other) => other !== node && isObject(store, root, { node: other, names }))
}

const temporaryName = '.forerun-repair'

/** Also a folder with all that is in it, but for what is mounted there: of another name, the kernel refuses that itself. */
function removeExtra(whole: ByteString): boolean {
  using reached = reachName(whole)
  const { path } = reached
  const isFree = !isFolder(path) || holdsNoMount(path, lstatSync(filePath(parentOf(path))).dev)
  if (!isFree) return false
  try {
    rmSync(filePath(path), { recursive: true })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}

/** By the device of folders alone: files of an overlay have those of its layers. */
function holdsNoMount(path: ByteString, device: number): boolean {
  if (lstatSync(filePath(path)).dev !== device) return false
  return readdirSync(filePath(path), { encoding: 'latin1' })
    .map((name) => `${path}/${name}`)
    .every((child) => !isFolder(child) || holdsNoMount(child, device))
}

function removeOtherAttributes(path: ByteString, { metadata }: TreeNode): void {
  const bytes = pathBytes(path)
  for (const name of extendedAttributes(bytes).keys()) {
    if (!metadata.xattrs.has(name) && !isOfHost(name)) removeExtendedAttribute(bytes, pathBytes(name))
  }
}

function isFolder(path: ByteString): boolean {
  return lstatSync(filePath(path), { throwIfNoEntry: false })?.isDirectory() ?? false
}

function parentOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function directoryAt(tree: DirectoryNode, path: ByteString): DirectoryNode | undefined {
  let current: TreeNode | undefined = tree
  for (const part of path.split('/').slice(1))
    current = current?.kind === 'directory' ? current.children.get(part) : undefined
  return current?.kind === 'directory' ? current : undefined
}

/** The objects that repair needs. */
export function neededObjects(faults: readonly CheckoutFault[]): FileNode[] {
  const files: FileNode[] = []
  const walk = (node: TreeNode): void => {
    if (node.kind === 'file') files.push(node)
    else if (node.kind === 'directory') for (const child of node.children.values()) walk(child)
  }
  for (const { node, problem } of faults) {
    if (node !== undefined && (node.kind !== 'directory' || problem !== 'metadata')) walk(node)
  }
  return files
}
