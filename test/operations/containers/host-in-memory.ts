import { createHash } from 'node:crypto'
import type { HostView } from '../../../src/operations/containers/host-view.ts'

/** A host for plans to look at. Names that end in `/` are directories. */
export function hostInMemory(
  files: Readonly<Record<string, string | { readonly target: string }>>,
  { others = [] }: { others?: readonly string[] } = {},
): HostView {
  const at = (path: string): string | { readonly target: string } | undefined => files[path]
  const isDirectory = (path: string): boolean => Object.keys(files).some((name) => name.startsWith(`${path}/`))
  return {
    kind(path) {
      const found = at(path)
      if (found === undefined) return isDirectory(path) ? 'directory' : undefined
      return typeof found === 'string' ? 'file' : 'symlink'
    },
    isFolder: isDirectory,
    target(path) {
      const found = at(path)
      return typeof found === 'object' ? found.target : undefined
    },
    checksum(path) {
      const found = at(path)
      return found === undefined ? undefined : sha256(typeof found === 'string' ? found : found.target)
    },
    text: (path) => {
      const found = at(path)
      if (typeof found !== 'string') throw new Error(`${path} is no file`)
      return found
    },
    names: (folder) => [
      ...new Set(
        Object.keys(files).flatMap((name) => (name.startsWith(`${folder}/`) ? [name.slice(folder.length + 1)] : [])),
      ),
    ],
    isOthers: (path) => others.includes(path),
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
