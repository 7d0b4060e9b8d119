import { displayPath } from '../tree/entry.ts'
import type { HostFile } from './host-files.ts'
import { tmpfilesEntries } from './tmpfiles.ts'
import { withoutVarRun } from './var-run.ts'

export type PathKind = 'directory' | 'file'

/** What lies at a path of the host, symbolic links followed: `file` is all but a directory; undefined is nothing. */
export type KindAt = (path: string) => PathKind | undefined

/**
 * What will lie at a path of the host once an image is installed. What is there stays; else host files and lines of
 * tmpfiles.d make something, with the directories above it.
 */
export function installedKind(
  hostKind: KindAt,
  { hostFiles, tmpfiles }: { hostFiles: readonly HostFile[]; tmpfiles: string },
): KindAt {
  const made = new Map<string, PathKind>()
  for (const { path, kind } of tmpfilesEntries(tmpfiles)) made.set(withoutVarRun(path), kind)
  for (const file of hostFiles) made.set(displayPath(file.path), kindOf(file, hostKind))
  return (path) => {
    const wanted = withoutVarRun(path)
    const isAbove = (): boolean => [...made.keys()].some((each) => each.startsWith(`${wanted}/`))
    return hostKind(path) ?? made.get(wanted) ?? (isAbove() ? 'directory' : undefined)
  }
}

/** A link that leads to something that is not there yet counts as one to a file. */
function kindOf(file: HostFile, hostKind: KindAt): PathKind {
  if (file.kind === 'symlink') return hostKind(displayPath(file.target)) ?? 'file'
  return file.kind
}
