import type { ByteString } from './entry.ts'

/**
 * What the name of an entry removes from the layers below (OCI image specification, "Whiteouts"): one name, everything
 * in its directory, or nothing. Names that begin with `.wh..wh.` and are not the opaque marker are bookkeeping of old
 * storage drivers, and are skipped.
 */
export type Whiteout =
  | { readonly kind: 'name'; readonly directory: ByteString; readonly name: ByteString }
  | { readonly kind: 'opaque'; readonly directory: ByteString }
  | { readonly kind: 'ignored' }

/**
 * Whether a name is a whiteout of nothing, of its own folder or of the one above, which nobody could carry out: a reader of
 * layers refuses it. (Stores that earlier versions filled may have some; merging passes over them.)
 */
export function isImpossibleWhiteout(path: ByteString): boolean {
  const slash = path.lastIndexOf('/')
  return path.startsWith(prefix, slash + 1) && /^\.{0,2}$/.test(path.slice(slash + 1 + prefix.length))
}

/** @returns undefined for an entry that is no whiteout. */
export function whiteout(path: ByteString): Whiteout | undefined {
  const slash = path.lastIndexOf('/')
  if (!path.startsWith(prefix, slash + 1)) return undefined
  const directory = slash < 0 ? '' : path.slice(0, slash)
  const name = path.slice(slash + 1 + prefix.length)
  if (name === opaque) return { kind: 'opaque', directory }
  if (name.startsWith(prefix) || name === '' || name === '.' || name === '..') return { kind: 'ignored' }
  return { kind: 'name', directory, name }
}

const prefix = '.wh.'
const opaque = '.wh..opq'
