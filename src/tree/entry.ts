/**
 * The names and inodes of a layer as its tar archive lists them (OCI image specification, "Image Layer Filesystem
 * Changeset"). Names are byte strings: one character (U+0000 to U+00FF) per byte, so that names which are not UTF-8
 * survive. `pathBytes` makes the Buffer that system calls take.
 */
export type ByteString = string

export interface Timestamp {
  /** Whole seconds since the epoch, rounded towards minus infinity. */
  readonly seconds: number
  /** 0 to 999,999,999, added to `seconds`. */
  readonly nanoseconds: number
}

export interface Metadata {
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Timestamp
  /** Extended attributes by full name (`security.capability`), values as bytes; in the order of their names. */
  readonly xattrs: ReadonlyMap<ByteString, Buffer>
}

/**
 * One entry of a layer. `path` is relative, without `.`, `..`, empty parts, leading or trailing slash; the root
 * directory itself is the empty path. Whiteouts are ordinary entries here, known by their name; see `whiteout.ts`.
 */
export type LayerEntry =
  | { readonly kind: 'file'; readonly path: ByteString; readonly metadata: Metadata; readonly size: number }
  | { readonly kind: 'directory'; readonly path: ByteString; readonly metadata: Metadata }
  | { readonly kind: 'symlink'; readonly path: ByteString; readonly metadata: Metadata; readonly target: ByteString }
  /** A further name of the file at `target`, a path as `path` is. */
  | { readonly kind: 'hardlink'; readonly path: ByteString; readonly metadata: Metadata; readonly target: ByteString }
  | {
      readonly kind: 'character-device' | 'block-device'
      readonly path: ByteString
      readonly metadata: Metadata
      readonly major: number
      readonly minor: number
    }
  | { readonly kind: 'fifo'; readonly path: ByteString; readonly metadata: Metadata }

/** The bytes of a name, for a system call. */
export function pathBytes(path: ByteString): Buffer {
  return Buffer.from(path, 'latin1')
}

/** A byte string from text, by UTF-8. */
export function byteString(text: string): ByteString {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Text from a byte string for messages; bytes that are not UTF-8 become U+FFFD. */
export function displayPath(path: ByteString): string {
  return pathBytes(path).toString('utf8')
}

/**
 * Takes a layer in the order of its archive. Calls are synchronous: what a receiver throws ends the reading. After an
 * `entry` of kind `file` come its bytes as `content` and `hole`, whose lengths add up to `size`, and then `endFile`.
 */
export interface LayerReceiver {
  entry(entry: LayerEntry): void
  /** The buffer is the reader's: it is valid during the call only. */
  content(bytes: Buffer): void
  /** `length` zero bytes that the archive did not store (a sparse file). */
  hole(length: number): void
  endFile(): void
}
