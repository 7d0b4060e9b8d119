import { ForerunError } from '../errors.ts'
import { type ByteString, displayPath, type LayerEntry } from './entry.ts'
import { type DirectoryNode, impliedDirectory, type ObjectId, type TreeNode } from './node.ts'
import { type Resolution, resolveDirectory, resolveName, resolvePath } from './resolve.ts'
import { whiteout } from './whiteout.ts'

/** An entry of a stored layer: a file names its object. */
export type StoredEntry = Exclude<LayerEntry, { kind: 'file' }> | (Extract<LayerEntry, { kind: 'file' }> & StoredFile)

interface StoredFile {
  readonly object: ObjectId
}

/**
 * The file system that layers, base first, add up to (OCI image specification, "Applying Changesets").
 *
 * Paths are resolved in the tree that has grown so far, through its own symbolic links, so no entry can name anything
 * outside it. A whiteout removes what lower layers hold and never what its own layer adds, wherever it stands in the
 * archive. An entry over one of another type replaces it; a directory over a directory keeps what is in it.
 *
 * @throws ForerunError `layer` for a hard link without a target, a file where a directory is needed, links without end.
 */
export function mergeLayers(layers: readonly (readonly StoredEntry[])[]): DirectoryNode {
  const root = impliedDirectory()
  for (const layer of layers) {
    for (const entry of layer) removeByWhiteout(root, entry.path)
    for (const entry of layer) if (whiteout(entry.path) === undefined) addEntry(root, entry)
  }
  return root
}

function removeByWhiteout(root: DirectoryNode, path: ByteString): void {
  const removal = whiteout(path)
  if (removal === undefined || removal.kind === 'ignored') return
  const directory = resolvePath(root, removal.directory)
  if (directory?.kind !== 'directory') return
  if (removal.kind === 'opaque') directory.children.clear()
  else directory.children.delete(removal.name)
}

function addEntry(root: DirectoryNode, entry: StoredEntry): void {
  if (entry.path === '') {
    if (entry.kind === 'directory') root.metadata = entry.metadata
    return
  }
  const slash = entry.path.lastIndexOf('/')
  const parent = resolveDirectory(root, slash < 0 ? '' : entry.path.slice(0, slash))
  const name = entry.path.slice(slash + 1)
  const present = parent.children.get(name)
  if (entry.kind === 'directory' && present?.kind === 'directory') present.metadata = entry.metadata
  else parent.children.set(name, newNode(root, entry))
}

export function newNode(root: DirectoryNode, entry: StoredEntry): TreeNode {
  const { kind, metadata } = entry
  switch (kind) {
    case 'file':
      return { kind, metadata, size: entry.size, object: entry.object }
    case 'directory':
      return { kind, metadata, children: new Map() }
    case 'symlink':
      return { kind, metadata, target: entry.target }
    case 'hardlink':
      return linkTarget(root, entry)
    case 'fifo':
      return { kind, metadata }
    default:
      return { kind, metadata, major: entry.major, minor: entry.minor }
  }
}

function linkTarget(root: DirectoryNode, entry: Extract<StoredEntry, { kind: 'hardlink' }>): TreeNode {
  const found = resolveName(root, entry.target)
  if (found.outcome === 'found' && found.node.kind !== 'directory') return found.node
  throw new ForerunError(
    'layer',
    `'${displayPath(entry.path)}' is a hard link to '${displayPath(entry.target)}', ${fault(found)}`,
    { hint: 'The image is malformed: have it built anew.' },
  )
}

function fault(found: Resolution): string {
  switch (found.outcome) {
    case 'found':
      return 'which is a directory'
    case 'blocked':
      return `but '${displayPath(found.path)}' is a ${found.kind}`
    case 'endless':
      return 'to which symbolic links lead without end'
    default:
      return 'which does not exist'
  }
}
