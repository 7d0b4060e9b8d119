import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { hearSignals } from '../host/event-loop.ts'
import { extendedAttributes } from '../host/system-calls.ts'
import { type ByteString, byteString, pathBytes } from '../tree/entry.ts'
import type { DirectoryNode, TreeNode } from '../tree/node.ts'
import { type FileChecks, type FileProblem, hasAttributes, type Inode, inodeOf, isLike } from './file-checks.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'

/** A name of a checkout that is not what the image says. */
export interface CheckoutFault {
  /** In the checkout, with a slash first; empty for its root. */
  readonly path: ByteString
  readonly problem: FileProblem | 'type' | 'target' | 'device' | 'hard link' | 'extra'
  /** What should be there; absent for what should not be. */
  readonly node?: TreeNode
}

/**
 * Compares a checkout with the tree that it was made of: all but the content of files now, and that when the checks are
 * run. Follows no link.
 *
 * @throws ForerunError `interrupted`
 */
export async function checkCheckout(
  target: string,
  tree: DirectoryNode,
  { checks, report, signal }: { checks: FileChecks; report: (fault: CheckoutFault) => void; signal: AbortSignal },
): Promise<void> {
  const step = hearSignals(signal, 'while reading the checkouts')
  await checkName({ root: byteString(target), checks, report, step, inodes: new Map() }, '', tree)
}

interface Comparison {
  readonly root: ByteString
  readonly checks: FileChecks
  readonly report: (fault: CheckoutFault) => void
  readonly step: () => Promise<void>
  /** Under the first of its names. */
  readonly inodes: Map<TreeNode, Inode>
}

async function checkName(comparison: Comparison, path: ByteString, node: TreeNode): Promise<void> {
  await comparison.step()
  using reached = reachName(`${comparison.root}${path}`)
  const status = lstatSync(filePath(reached.path), { bigint: true, throwIfNoEntry: false })
  const isThere = status !== undefined && isKind(status, node)
  if (!isThere) comparison.report({ path, problem: status === undefined ? 'missing' : 'type', node })
  else if (node.kind === 'directory') await checkDirectory(comparison, path, { node, status })
  else if (node.kind !== 'placeholder') checkInode(comparison, path, { node, status })
}

async function checkDirectory(
  comparison: Comparison,
  path: ByteString,
  { node, status }: { node: DirectoryNode; status: BigIntStats },
): Promise<void> {
  const { root, report } = comparison
  using reached = reachName(`${root}${path}`)
  if (!hasMetadata(reached.path, status, node)) report({ path, problem: 'metadata', node })
  for (const name of readdirSync(filePath(reached.path), { encoding: 'latin1' })) {
    if (!node.children.has(name)) report({ path: `${path}/${name}`, problem: 'extra' })
  }
  for (const [name, child] of node.children) await checkName(comparison, `${path}/${name}`, child)
}

function checkInode(
  { root, checks, report, inodes }: Comparison,
  path: ByteString,
  { node, status }: { node: Exclude<TreeNode, DirectoryNode>; status: BigIntStats },
): void {
  const full = `${root}${path}`
  using reached = reachName(full)
  const tell = (problem: CheckoutFault['problem']): void => report({ path, problem, node })
  const inode = inodeOf(status)
  const earlier = inodes.get(node)
  inodes.set(node, earlier ?? inode)
  if (earlier !== undefined && earlier !== inode) tell('hard link')
  else if (node.kind === 'file') checks.add(full, node, tell)
  else if (node.kind === 'symlink' && readlinkSync(filePath(reached.path), 'latin1') !== node.target) tell('target')
  else if ('major' in node && Number(status.rdev) !== deviceNumber(node)) tell('device')
  else if (!hasMetadata(reached.path, status, node)) tell('metadata')
}

function isKind(status: BigIntStats, { kind }: TreeNode): boolean {
  switch (kind) {
    case 'directory':
      return status.isDirectory()
    case 'symlink':
      return status.isSymbolicLink()
    case 'fifo':
      return status.isFIFO()
    case 'character-device':
      return status.isCharacterDevice()
    case 'block-device':
      return status.isBlockDevice()
    case 'placeholder':
      // What a mount covers may have become another kind on the host since.
      return status.isDirectory() || (status.isFile() && status.size === 0n)
    default:
      return status.isFile()
  }
}

function hasMetadata(path: ByteString, status: BigIntStats, { metadata }: TreeNode): boolean {
  return isLike(status, metadata) && hasAttributes(extendedAttributes(pathBytes(path)), metadata)
}

/** As stat(2) tells it to 32 bits. */
function deviceNumber({ major, minor }: { major: number; minor: number }): number {
  return (minor & 0xff) + (major & 0xfff) * 2 ** 8 + ((minor & 0xfff00) >>> 8) * 2 ** 20
}
