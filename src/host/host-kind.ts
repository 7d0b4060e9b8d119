import { statSync } from 'node:fs'

/** What lies at a path of the host, symbolic links followed; undefined when there is nothing. */
export function hostKind(path: string): 'directory' | 'file' | undefined {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return undefined
  return status.isDirectory() ? 'directory' : 'file'
}
