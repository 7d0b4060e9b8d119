import type { ByteString } from '../tree/entry.ts'

/**
 * The files of an image as the bundle needs them; operations answer from the merged tree. A path may begin with `/`;
 * symbolic links are followed inside the image, as a process whose root is the image would.
 */
export interface ImageFiles {
  /** Content of a regular file; undefined when there is none. */
  read(path: ByteString): Buffer | undefined
  /**
   * The absolute path without symbolic links of what is at a path, or would be; undefined when the links have no end.
   */
  realPath(path: ByteString): ByteString | undefined
  /** What is at a path; undefined when there is nothing. */
  stat(path: ByteString): ImageFile | undefined
  /** Everything under `/exports/hostfs`, parents first; links are not followed, other kinds are left out. */
  hostFiles(): Iterable<ExportedFile>
}

export interface ImageFile {
  readonly kind: 'file' | 'directory' | 'other'
  /** 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** `path` is relative to `/exports/hostfs`, as the paths of layer entries are: no leading slash, never empty. */
export type ExportedFile = {
  readonly path: ByteString
  readonly mode: number
  readonly uid: number
  readonly gid: number
} & (
  | { readonly kind: 'file' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: ByteString }
)
