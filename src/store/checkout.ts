import { chmodSync, closeSync, linkSync, mkdirSync, openSync, symlinkSync } from 'node:fs'
import { hearSignals } from '../host/event-loop.ts'
import { makeNode, nodeTypes } from '../host/system-calls.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { type ByteString, byteString, type Metadata, pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, FileNode, ObjectId, TreeNode } from '../tree/node.ts'
import { type FileMakers, fileMakers } from './checkout-method.ts'
import { reachFolder, reachName } from './long-path.ts'
import {
  applyMetadata,
  applyMetadataToNewDirectory,
  filePath,
  handDownNothing,
  type NewFileOwner,
  newMode,
  ownerOfNewFiles,
} from './metadata.ts'
import { type FileToPlace, placeFile } from './place-files.ts'

/** Places files of one checkout, side by side where that is quicker. Disposing ends what is under way. */
export interface FilePlacer extends AsyncDisposable {
  /** The file may be placed from now on: its folder is there. */
  add(file: FileToPlace): void
  /** Waits until all are placed. @throws as `placeFiles`; ForerunError `interrupted` */
  end(): Promise<void>
}

export interface CheckoutOptions {
  /** Must not exist. */
  readonly target: string
  readonly method: CheckoutMethod
  /** As for `fileMakers`. */
  readonly shared: boolean
  /** Places files by that method. */
  readonly placer: FilePlacer
  readonly signal: AbortSignal
}

/**
 * Makes a merged tree real: every directory is made here and nothing that lies on the disk is followed. Names of one file
 * are names of one inode again. Not durable by itself.
 *
 * Files are placed while directories, and what has no content, are made; then come further names of files, and last what
 * directories have beside their names.
 *
 * @throws ForerunError `store` when an object is missing, `checkout` when the method cannot work here, `interrupted` when
 * the signal is raised.
 */
export async function checkOut(store: string, tree: DirectoryNode, options: CheckoutOptions): Promise<void> {
  const { method, shared, placer, signal } = options
  const target = byteString(options.target)
  const checkout: Checkout = {
    store,
    ...fileMakers(method, shared),
    used: new Set(),
    placed: new Map(),
    placer,
    links: [],
    directories: [],
    owner: ownerOfNewFiles(),
    step: hearSignals(signal, 'during the checkout'),
  }
  await checkout.step()
  mkdirSync(filePath(target))
  handDownNothing(target)
  chmodSync(filePath(target), newMode('directory', tree.metadata, checkout.owner))
  await fillDirectory(checkout, { path: target, whole: target }, tree)
  await placer.end()
  for (const { whole, node } of checkout.links) {
    await checkout.step()
    using reached = reachName(whole)
    makeName(checkout, { path: reached.path, whole }, node)
  }
  for (const { whole, metadata } of checkout.directories) {
    await checkout.step()
    using reached = reachName(whole)
    applyMetadataToNewDirectory(reached.path, metadata, checkout.owner)
  }
}

/** What makes names in a checkout. */
export interface Placed extends FileMakers {
  readonly store: string
  /** Objects that a file of this checkout is already. */
  readonly used: Set<ObjectId>
  /** Where an inode lies already, for its further names. */
  readonly placed: Map<TreeNode, ByteString>
}

interface Checkout extends Placed {
  readonly placer: FilePlacer
  readonly links: { whole: ByteString; node: FileNode }[]
  readonly directories: { whole: ByteString; metadata: Metadata }[]
  readonly owner: NewFileOwner
  readonly step: () => Promise<void>
}

/** @param whole the path from the target on, also where `path`, by which the folder is reached, had to be shortened. */
async function fillDirectory(
  checkout: Checkout,
  { path, whole }: { path: ByteString; whole: ByteString },
  directory: DirectoryNode,
): Promise<void> {
  await checkout.step()
  using folder = reachFolder(path)
  for (const [name, node] of directory.children) {
    await checkout.step()
    const child = { path: `${folder.path}/${name}`, whole: `${whole}/${name}` }
    if (node.kind === 'directory') {
      mkdirSync(filePath(child.path), newMode('directory', node.metadata, checkout.owner))
      await fillDirectory(checkout, child, node)
    } else if (node.kind === 'file') addFile(checkout, child.whole, node)
    else makeName(checkout, child, node)
  }
  checkout.directories.push({ whole, metadata: directory.metadata })
}

function addFile({ placer, links, placed, used }: Checkout, whole: ByteString, node: FileNode): void {
  if (placed.has(node)) {
    links.push({ whole, node })
    return
  }
  placer.add({ object: node.object, path: whole, metadata: node.metadata, another: used.has(node.object) })
  placed.set(node, whole)
  used.add(node.object)
}

/** Makes a name that does not exist, of an inode or of one that is placed already. @throws ForerunError `store` when its object is missing. */
export function makeName(
  checkout: Placed,
  { path, whole }: { path: ByteString; whole: ByteString },
  node: Exclude<TreeNode, DirectoryNode>,
): void {
  const earlier = checkout.placed.get(node)
  if (earlier !== undefined) {
    using folder = reachFolder(earlier.slice(0, earlier.lastIndexOf('/')))
    linkSync(filePath(`${folder.path}${earlier.slice(earlier.lastIndexOf('/'))}`), filePath(path))
    return
  }
  if (node.kind === 'file') {
    const { store, used, place, placeAnother } = checkout
    placeFile(store, { ...node, path }, used.has(node.object) ? placeAnother : place)
    used.add(node.object)
  } else makeNodeAt(path, node)
  checkout.placed.set(node, whole)
}

function makeNodeAt(path: ByteString, node: Exclude<TreeNode, DirectoryNode | FileNode>): void {
  if (node.kind === 'symlink') symlinkSync(filePath(node.target), filePath(path))
  else if (node.kind === 'placeholder') closeSync(openSync(filePath(path), 'wx', 0o600))
  else if (node.kind === 'fifo') makeNode(pathBytes(path), nodeTypes.fifo, 0, 0)
  else makeNode(pathBytes(path), nodeTypes[node.kind], node.major, node.minor)
  applyMetadata(path, node.metadata, { symlink: node.kind === 'symlink' })
}
