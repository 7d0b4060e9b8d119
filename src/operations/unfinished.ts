import { join } from 'node:path'
import { namesIn } from '../host/folder-entries.ts'
import { removeTree } from '../host/remove-tree.ts'
import { journaledPaths } from '../transaction/transaction.ts'
import { removeStagedVolumes } from '../transaction/volumes.ts'
import type { Context } from './context.ts'

/** Prefix of folders, beside the deployments, that are not deployments yet or any more. */
export const unfinishedPrefix = '.forerun-'

/** Removes what was staged by a command that was killed, or taken back. The host must be locked. */
export async function removeUnfinished({ paths, emit }: Context): Promise<void> {
  const needed = journaledPaths(paths.journal)
  for (const name of namesIn(paths.containers)) {
    const path = join(paths.containers, name)
    if (!name.startsWith(unfinishedPrefix) || needed.has(path)) continue
    const left = await removeTree(path)
    if (left !== undefined) emit({ type: 'notice', message: `${path} ${left}` })
  }
  await removeStagedVolumes('/var/lib', emit)
}
