import { type BigIntStats, lstatSync } from 'node:fs'
import { extendedAttributes } from '../host/system-calls.ts'
import { type ByteString, type Metadata, pathBytes } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'
import { isOfHost } from './attributes.ts'
import type { FileToHash, HashedContent } from './hash-file.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'
import { isHashedWithHoles, objectId } from './object.ts'

/** What a regular file should be. */
export interface ExpectedFile {
  readonly metadata: Metadata
  readonly size: number
  readonly object: ObjectId
}

export type FileProblem = 'missing' | 'size' | 'content' | 'metadata'

/** A file that was read, under one of its names. */
export interface ReadFile extends HashedContent {
  readonly path: ByteString
}

/** Reads files, in any order and any thread; undefined for those that cannot be read. */
export type HashFiles = (
  files: readonly (FileToHash & { readonly size: number })[],
) => Promise<readonly (HashedContent | undefined)[]>

/** Checks of regular files, gathered first, so that each inode is read once whatever its names. */
export interface FileChecks {
  /** Looks at a file now, and has its content read by `run`. @returns the inode; undefined when there is no such file. */
  add(path: ByteString, expected: ExpectedFile, report: (problem: FileProblem) => void): Inode | undefined
  /** As `add`, of a file whose content alone matters, by its SHA-256 in hexadecimal. */
  addContent(
    path: ByteString,
    expected: { readonly size: number; readonly sha256: string },
    report: (problem: FileProblem) => void,
  ): void
  /** Reads everything and reports what is wrong. @returns what was read for `add`. */
  run(hash: HashFiles): Promise<readonly ReadFile[]>
}

/** Device and number. */
export type Inode = string

export function inodeOf({ dev, ino }: BigIntStats): Inode {
  return `${dev}:${ino}`
}

interface Check {
  readonly file: SeenFile
  readonly isRight: (content: HashedContent) => boolean
  readonly hasMetadata: boolean
  readonly report: (problem: FileProblem) => void
}

interface SeenFile extends FileToHash {
  readonly size: number
  readonly attributes: ReadonlyMap<string, Buffer>
}

export function fileChecks(): FileChecks {
  const checks: Check[] = []
  /** By inode and by how it is to be hashed. */
  const files = new Map<string, SeenFile>()
  /** Those that are files of images. */
  const ofImages = new Set<SeenFile>()

  function see(path: ByteString, holes: boolean): { status: BigIntStats; inode: Inode; file: SeenFile } | undefined {
    using reached = reachName(path)
    const status = lstatSync(filePath(reached.path), { bigint: true, throwIfNoEntry: false })
    if (status === undefined || !status.isFile()) return undefined
    const inode = inodeOf(status)
    const key = `${inode} ${holes}`
    let file = files.get(key)
    if (file === undefined) {
      const attributes = extendedAttributes(pathBytes(reached.path))
      file = { path, holes, size: Number(status.size), attributes }
      files.set(key, file)
    }
    return { status, inode, file }
  }

  return {
    add(path, expected, report) {
      const seen = see(path, isHashedWithHoles(expected.object))
      if (seen === undefined) {
        report('missing')
        return undefined
      }
      const { status, inode, file } = seen
      ofImages.add(file)
      if (file.size !== expected.size) report('size')
      else {
        const hasMetadata = isLike(status, expected.metadata) && hasAttributes(file.attributes, expected.metadata)
        checks.push({ file, isRight: (content) => isContentOf(content, expected), hasMetadata, report })
      }
      return inode
    },
    addContent(path, { size, sha256 }, report) {
      const file = see(path, false)?.file
      if (file === undefined) report('missing')
      else if (file.size !== size) report('size')
      else checks.push({ file, isRight: ({ digest }) => digest === sha256, hasMetadata: true, report })
    },
    async run(hash) {
      const seen = [...files.values()]
      const contents = await hash(seen)
      const read = new Map<SeenFile, ReadFile>()
      for (const [index, file] of seen.entries()) {
        const content = contents[index]
        if (content !== undefined) read.set(file, { path: file.path, ...content })
      }
      for (const { file, isRight, hasMetadata, report } of checks) {
        const content = read.get(file)
        if (content === undefined || !isRight(content)) report('content')
        else if (!hasMetadata) report('metadata')
      }
      return [...read].flatMap(([file, content]) => (ofImages.has(file) ? [content] : []))
    },
  }
}

/** Whether the file that is expected has this content. */
export function isContentOf(
  { size, digest }: HashedContent,
  { metadata, size: wanted, object }: ExpectedFile,
): boolean {
  return size === wanted && objectId(metadata, size, digest) === object
}

/** Whether a name has the owner, mode and time; of a symbolic link, which has no mode of its own, owner and time. */
export function isLike(status: BigIntStats, { mode, uid, gid, mtime }: Metadata): boolean {
  return (
    (status.isSymbolicLink() || Number(status.mode & 0o7777n) === mode) &&
    Number(status.uid) === uid &&
    Number(status.gid) === gid &&
    status.mtimeNs === BigInt(mtime.seconds) * 1_000_000_000n + BigInt(mtime.nanoseconds)
  )
}

export function hasAttributes(found: ReadonlyMap<string, Buffer>, { xattrs }: Metadata): boolean {
  const isWhole = [...xattrs].every(([name, value]) => found.get(name)?.equals(value) === true)
  return isWhole && [...found.keys()].every((name) => xattrs.has(name) || isOfHost(name))
}
