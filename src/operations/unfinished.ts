import { join } from 'node:path'
import { namesIn } from '../host/folder-entries.ts'
import { removeTree } from '../host/remove-tree.ts'
import { journaledPaths } from '../transaction/transaction.ts'
import { removeStagedVolumes } from '../transaction/volumes.ts'
import type { Context } from './context.ts'
import { removeAbandonedOneOffs } from './one-off.ts'

/** Prefix of folders, beside the deployments, that are not deployments yet or any more. */
export const unfinishedPrefix = '.forerun-'

/** Removes what was staged, or run, by commands that were killed, and what was taken back. The host must be locked. */
export async function removeUnfinished(context: Context): Promise<void> {
  const { paths, emit } = context
  const needed = journaledPaths(paths.journal)
  for (const name of namesIn(paths.containers)) {
    const path = join(paths.containers, name)
    if (!name.startsWith(unfinishedPrefix) || needed.has(path)) continue
    const left = await removeTree(path)
    if (left !== undefined) emit({ type: 'notice', message: `${path} ${left}` })
  }
  await removeStagedVolumes('/var/lib', emit)
  await removeAbandonedOneOffs(context)
}
