import { lstatSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import type { ServiceBundle } from '../../bundle/bundle.ts'
import { ForerunError } from '../../errors.ts'
import { byteString, pathBytes } from '../../tree/entry.ts'
import type { DirectoryNode, TreeNode } from '../../tree/node.ts'
import { resolvePath } from '../../tree/resolve.ts'

/**
 * Checks that a tree of `--rootfs` has the program that is to run in it. What a mount brings is not looked for.
 *
 * @throws ForerunError `rootfs`.
 */
export function requireProgram(rootfs: string, tree: DirectoryNode, { configuration }: ServiceBundle): void {
  const { args = [], cwd, env = [] } = configuration.process
  const [program = ''] = args
  const path = env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? '/usr/bin:/bin'
  const folders = program.includes('/') ? [cwd] : path.split(':')
  const candidates = folders.map((folder) => posix.resolve('/', folder, program))
  const isMounted = (candidate: string): boolean =>
    (configuration.mounts ?? []).some(({ destination }) => candidate.startsWith(`${destination.replace(/\/$/, '')}/`))
  if (candidates.some((candidate) => isMounted(candidate) || isFile(resolvePath(tree, byteString(candidate))))) return
  throw new ForerunError('rootfs', `'${rootfs}' is no root for this image: there is no '${program}' in it`, {
    hint: 'Give --rootfs the folder of an unpacked image, or of a deployment of it.',
  })
}

/**
 * Whether files of a tree are shared, by hard links, with something outside of it: with the store, or with other checkouts.
 * Writing to an overlay leaves what lies below as it is.
 *
 * @param containers the folder of the deployments.
 */
export function sharesFiles(rootfs: string, tree: DirectoryNode, containers: string): boolean {
  if (statSync(rootfs).dev !== statSync(containers).dev) return false
  const names = new Map<bigint, { found: bigint; links: bigint }>()
  for (const file of filesIn(tree)) {
    const { ino, nlink } = lstatSync(pathBytes(file.object), { bigint: true })
    names.set(ino, { found: (names.get(ino)?.found ?? 0n) + 1n, links: nlink })
  }
  return [...names.values()].some(({ found, links }) => links > found)
}

function isFile(node: TreeNode | undefined): boolean {
  return node?.kind === 'file'
}

function* filesIn(folder: DirectoryNode): Iterable<Extract<TreeNode, { kind: 'file' }>> {
  for (const node of folder.children.values()) {
    if (node.kind === 'file') yield node
    else if (node.kind === 'directory') yield* filesIn(node)
  }
}
