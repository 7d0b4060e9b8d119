import { createHash } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'

/** One file of a layer. Text stands for a regular file of mode 644 that holds it. */
export type LayerFile =
  | string
  | Uint8Array
  | {
      /** Default: a link's when there is a target, else a file's. `whiteout` names are written as any other: `dir/.wh.name`. */
      readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo' | 'character-device' | 'block-device'
      readonly content?: string | Uint8Array
      /** Default 0o755 for a directory, 0o777 for a symbolic link, else 0o644. */
      readonly mode?: number
      readonly uid?: number
      readonly gid?: number
      /** Seconds since 1970. Default 0, so that an image built twice has one digest. */
      readonly mtime?: number
      readonly target?: string
      readonly device?: { readonly major: number; readonly minor: number }
      readonly xattrs?: Readonly<Record<string, string>>
    }

/** Path in the image (a leading `/` is dropped) -> file, in this order. Folders on the way have to be given where they matter. */
export type LayerFiles = Readonly<Record<string, LayerFile>>

export type Compression = 'gzip' | 'zstd' | 'none'

export interface Layer {
  readonly compression: Compression
  /** Of the archive before compression. */
  readonly diffId: string
  readonly bytes: Buffer
}

/** Packs files into a layer. The whole of it is in memory. */
export async function packLayer(
  files: LayerFiles,
  { compression = 'gzip' }: { compression?: Compression } = {},
): Promise<Layer> {
  const archive = pack()
  for (const [path, file] of Object.entries(files)) {
    const { header, content } = entryOf(path.replace(/^\/+/, ''), file)
    archive.entry(header, content)
  }
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk)
  return layerOf(Buffer.concat(chunks), { compression })
}

/** Makes a layer of an archive as it is, well formed or not. */
export function layerOf(archive: Buffer, { compression = 'gzip' }: { compression?: Compression } = {}): Layer {
  return { compression, diffId: sha256(archive), bytes: compressors[compression](archive) }
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

const compressors: Record<Compression, (archive: Buffer) => Buffer> = {
  // Quick rather than small: tests make many.
  gzip: (archive) => gzipSync(archive, { level: 1 }),
  zstd: (archive) => zstdCompressSync(archive),
  none: (archive) => archive,
}

function entryOf(name: string, file: LayerFile): { header: Partial<Header> & { name: string }; content: Buffer } {
  const { content, target, device, xattrs, ...given } =
    typeof file === 'string' || file instanceof Uint8Array ? { content: file } : file
  const type = given.type ?? (target === undefined ? 'file' : 'symlink')
  const bytes = Buffer.from(content ?? '')
  const pax = Object.entries(xattrs ?? {}).map(([key, value]) => [`SCHILY.xattr.${key}`, value])
  const header: Partial<Header> & { name: string } = {
    name: type === 'directory' ? name.replace(/\/*$/, '/') : name,
    type,
    mode: given.mode ?? defaultModes[type] ?? 0o644,
    uid: given.uid ?? 0,
    gid: given.gid ?? 0,
    mtime: new Date((given.mtime ?? 0) * 1000),
    size: type === 'file' ? bytes.length : 0,
    ...(target !== undefined && { linkname: target }),
    ...(device !== undefined && { devmajor: device.major, devminor: device.minor }),
    ...(pax.length > 0 && { pax: Object.fromEntries(pax) }),
  }
  return { header, content: bytes }
}

const defaultModes: Partial<Record<string, number>> = { directory: 0o755, symlink: 0o777 }
