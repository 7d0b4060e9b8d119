import { closeSync, linkSync, mkdirSync, openSync, symlinkSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { makeNode, nodeTypes } from '../host/system-calls.ts'
import type { CheckoutMethod } from '../tree/checkout-method.ts'
import { type ByteString, byteString, displayPath, pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, FileNode, ObjectId, TreeNode } from '../tree/node.ts'
import { type PlaceObject, placeObjects } from './checkout-method.ts'
import { reachFolder } from './long-path.ts'
import { applyMetadata, filePath } from './metadata.ts'
import { objectPath } from './object.ts'

/**
 * Makes a merged tree real at `target`, which must not exist: every directory is made here and nothing that lies on the
 * disk is followed. Names of one file are names of one inode again. Not durable by itself.
 *
 * @throws ForerunError `store` when an object is missing, `checkout` when the method cannot work here, `interrupted` when
 * the signal is raised.
 */
export async function checkOut(
  store: string,
  tree: DirectoryNode,
  options: { target: string; method: CheckoutMethod; shared: boolean; signal: AbortSignal },
): Promise<void> {
  const target = byteString(options.target)
  const checkout: Checkout = {
    store,
    place: placeObjects(options.method, options.shared),
    placeAnother: placeObjects(options.method === 'hardlink' ? 'copy' : options.method, false),
    used: new Set(),
    placed: new Map(),
    signal: options.signal,
    yielded: performance.now(),
  }
  await makeDirectory(checkout, { path: target, whole: target }, tree)
}

/** What makes names in a checkout. */
export interface Placed {
  readonly store: string
  readonly place: PlaceObject
  /** For a second file that is just like one before: it is no hard link in the image, and must not become one. */
  readonly placeAnother: PlaceObject
  /** Objects that a file of this checkout is already. */
  readonly used: Set<ObjectId>
  /** Where an inode lies already, for its further names. */
  readonly placed: Map<TreeNode, ByteString>
}

interface Checkout extends Placed {
  readonly signal: AbortSignal
  /** When the event loop last had its turn, so that a signal is heard. Milliseconds. */
  yielded: number
}

/** @param whole the path from the target on, also where `path`, by which the folder is reached, had to be shortened. */
async function makeDirectory(
  checkout: Checkout,
  { path, whole }: { path: ByteString; whole: ByteString },
  directory: DirectoryNode,
): Promise<void> {
  await hearSignals(checkout)
  mkdirSync(filePath(path), 0o700)
  using folder = reachFolder(path)
  for (const [name, node] of directory.children) {
    const child = { path: `${folder.path}/${name}`, whole: `${whole}/${name}` }
    if (node.kind === 'directory') await makeDirectory(checkout, child, node)
    else makeName(checkout, child, node)
  }
  applyMetadata(path, directory.metadata, { symlink: false })
}

async function hearSignals(checkout: Checkout): Promise<void> {
  if (performance.now() - checkout.yielded > 50) {
    await nextTurn()
    checkout.yielded = performance.now()
  }
  if (checkout.signal.aborted) throw new ForerunError('interrupted', 'interrupted during the checkout')
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
  if (node.kind === 'file') placeFile(checkout, path, node)
  else makeNodeAt(path, node)
  checkout.placed.set(node, whole)
}

function makeNodeAt(path: ByteString, node: Exclude<TreeNode, DirectoryNode | FileNode>): void {
  if (node.kind === 'symlink') symlinkSync(filePath(node.target), filePath(path))
  else if (node.kind === 'placeholder') closeSync(openSync(filePath(path), 'wx', 0o600))
  else if (node.kind === 'fifo') makeNode(pathBytes(path), nodeTypes.fifo, 0, 0)
  else makeNode(pathBytes(path), nodeTypes[node.kind], node.major, node.minor)
  applyMetadata(path, node.metadata, { symlink: node.kind === 'symlink' })
}

function placeFile(checkout: Placed, path: ByteString, node: FileNode): void {
  const object = objectPath(checkout.store, node.object)
  try {
    const place = checkout.used.has(node.object) ? checkout.placeAnother : checkout.place
    place(object, filePath(path), node.metadata)
    checkout.used.add(node.object)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ForerunError('store', `the store has lost the object of '${displayPath(path)}'`, {
      cause,
      hint: 'Remove the image from the store and pull it again: forerun images delete IMAGE; forerun pull IMAGE.',
    })
  }
}
