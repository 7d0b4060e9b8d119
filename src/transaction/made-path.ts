import { lstatSync, unlinkSync } from 'node:fs'
import { reachWithoutLinks } from '../host/folder-without-links.ts'
import type { ChangeHost, ChangeKind } from './change.ts'
import { isPresent, removeEmptyDirectory } from './files.ts'

/** Once the transaction has been committed, removes what holds nothing, the last given first; anything else is kept and told of. */
export const removeEmpty: ChangeKind<'remove-empty'> = {
  prepare: ({ paths }) => ({ kind: 'remove-empty', paths }),
  apply() {},
  finish({ paths }, host) {
    for (const path of paths.toReversed()) removeMadePath(path, host, { withContent: false })
  },
}

/**
 * Removes a path that was made on the host, if it holds nothing; anything else is kept, and told of. A container may have
 * replaced the folders above it by symbolic links to folders of the host: those are not followed.
 *
 * @param options.withContent whether a file that holds something goes, too.
 */
export function removeMadePath(path: string, host: ChangeHost, options: { withContent: boolean }): void {
  if (!isPresent(path)) return
  using reached = reachWithoutLinks(path)
  if (reached === undefined) {
    host.emit({ type: 'notice', message: `Kept ${path}: a symbolic link leads to it.` })
    return
  }
  const status = lstatSync(reached.path, { throwIfNoEntry: false })
  if (status === undefined) return
  if (status.isDirectory()) removeEmptyDirectory(reached.path)
  else if (options.withContent || !status.isFile() || status.size === 0) unlinkSync(reached.path)
  if (isPresent(reached.path)) host.emit({ type: 'notice', message: `Kept ${path}, which is not empty.` })
}
