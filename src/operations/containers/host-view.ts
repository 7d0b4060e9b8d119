import { lstatSync, readFileSync } from 'node:fs'
import { namesIn } from '../../host/folder-entries.ts'
import { hostKind } from '../../host/host-kind.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import type { Change } from '../../transaction/change.ts'
import { digestOfContent, digestOfFile, linkTarget } from '../../transaction/files.ts'
import type { Context } from '../context.ts'
import { filesOfOthers } from '../files-of-others.ts'

/** What planning asks of the host. Plans are functions of it, so that tests can give another one. */
export interface HostView {
  /** What lies at a path itself; undefined when there is nothing. */
  kind(path: string): 'directory' | 'file' | 'symlink' | 'other' | undefined
  /** Whether it is a directory, by following links. */
  isFolder(path: string): boolean
  /** Where a symbolic link leads, as it is written; undefined for anything else. */
  target(path: string): string | undefined
  /** What `contentDigest` tells of a file, or of the target of a link; undefined for anything else. */
  checksum(path: string): string | undefined
  /** The content of a file as text. */
  text(path: string): string
  /** Names in a folder; none where there is no such folder. */
  names(folder: string): readonly string[]
  /** Whether another container than this one placed what lies there. */
  isOthers(path: string): boolean
}

/** The host as it is. @param containers those whose files are not those of another. */
export function hostView(containers: readonly string[], context: Context): HostView {
  let others: ReadonlySet<string> | undefined
  return {
    kind(path) {
      const status = lstatSync(path, { throwIfNoEntry: false })
      if (status === undefined) return undefined
      if (status.isDirectory()) return 'directory'
      if (status.isSymbolicLink()) return 'symlink'
      return status.isFile() ? 'file' : 'other'
    },
    isFolder: (path) => hostKind(path) === 'directory',
    target: linkTarget,
    checksum(path) {
      const target = linkTarget(path)
      return target === undefined ? digestOfFile(path) : digestOfContent({ bytes: Buffer.from(target) })
    },
    text: (path) => readFileSync(path, 'utf8'),
    names: namesIn,
    isOthers(path) {
      others ??= filesOfOthers(containers, context)
      return others.has(path)
    },
  }
}

/** The host as it would be without files that a deployment placed, other containers' excepted. */
export function viewWithout(files: readonly PlacedFile[], view: HostView): HostView {
  return viewWithoutPaths(new Set(files.map(({ path }) => path).filter((path) => !view.isOthers(path))), view)
}

/** The host as it would be after changes, as far as they remove files. */
export function viewAfter(changes: readonly Change[], view: HostView): HostView {
  return viewWithoutPaths(
    new Set(changes.flatMap((change) => (change.kind === 'remove-file' ? [change.path] : []))),
    view,
  )
}

function viewWithoutPaths(paths: ReadonlySet<string>, view: HostView): HostView {
  const unless =
    <Answer>(ask: (path: string) => Answer) =>
    (path: string): Answer | undefined =>
      paths.has(path) ? undefined : ask(path)
  return {
    ...view,
    kind: unless(view.kind),
    isFolder: (path) => !paths.has(path) && view.isFolder(path),
    target: unless(view.target),
    checksum: unless(view.checksum),
  }
}
