import type { ExportedFile, ImageFiles } from '../../bundle/image-files.ts'
import { readAtMost } from '../../host/read-at-most.ts'
import { largestText, refuseLargeText, textBudget } from '../../image/text-limits.ts'
import { type ByteString, displayPath } from '../../tree/entry.ts'
import type { DirectoryNode, FileNode, TreeNode } from '../../tree/node.ts'
import { realPath, resolvePath } from '../../tree/resolve.ts'

/**
 * The files of an image as the bundle reads them.
 *
 * @param pathOf where the content of a file lies on the disk.
 * @returns what throws a ForerunError `limit` for a text that is too large, and when the image has too many.
 */
export function treeFiles(tree: DirectoryNode, pathOf: (file: FileNode) => string | Buffer): ImageFiles {
  const spend = textBudget('The texts of the image')
  return {
    read(path) {
      const node = resolvePath(tree, path)
      if (node?.kind !== 'file') return undefined
      const content = readAtMost(pathOf(node), largestText + 1)
      refuseLargeText(displayPath(path), content.length)
      spend(content.length)
      return content
    },
    stat(path) {
      const node = resolvePath(tree, path)
      if (node === undefined) return undefined
      const { mode, uid, gid } = node.metadata
      return { kind: node.kind === 'file' || node.kind === 'directory' ? node.kind : 'other', mode, uid, gid }
    },
    realPath: (path) => realPath(tree, path),
    hostFiles() {
      const folder = resolvePath(tree, '/exports/hostfs')
      return folder?.kind === 'directory' ? exportedFiles(folder, '') : []
    },
  }
}

function* exportedFiles(folder: DirectoryNode, prefix: ByteString): Iterable<ExportedFile> {
  for (const [name, node] of folder.children) {
    const path = `${prefix}${name}`
    const file = exportedFile(path, node)
    if (file !== undefined) yield file
    if (node.kind === 'directory') yield* exportedFiles(node, `${path}/`)
  }
}

function exportedFile(path: ByteString, node: TreeNode): ExportedFile | undefined {
  const { mode, uid, gid } = node.metadata
  if (node.kind === 'symlink') return { path, mode, uid, gid, kind: node.kind, target: node.target }
  return node.kind === 'file' || node.kind === 'directory' ? { path, mode, uid, gid, kind: node.kind } : undefined
}
