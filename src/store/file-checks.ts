import { type BigIntStats, lstatSync } from 'node:fs'
import { extendedAttributes } from '../host/system-calls.ts'
import { type ByteString, type Metadata, pathBytes } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'
import type { HashedContent } from './hash-file.ts'
import { reachName } from './long-path.ts'
import { filePath } from './metadata.ts'
import { objectId } from './object.ts'

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
  files: readonly { readonly path: ByteString; readonly size: number }[],
) => Promise<readonly (HashedContent | undefined)[]>

/** Checks of regular files, gathered first, so that each inode is read once whatever its names. */
export interface FileChecks {
  /** Looks at a file now, and has its content read by `run`. @returns the inode; undefined when there is no such file. */
  add(path: ByteString, expected: ExpectedFile, report: (problem: FileProblem) => void): Inode | undefined
  /** Reads everything and reports what is wrong. @returns all that was read, by inode. */
  run(hash: HashFiles): Promise<ReadonlyMap<Inode, ReadFile>>
}

/** Device and number. */
export type Inode = string

export function inodeOf({ dev, ino }: BigIntStats): Inode {
  return `${dev}:${ino}`
}

interface Check {
  readonly inode: Inode
  readonly expected: ExpectedFile
  readonly hasMetadata: boolean
  readonly report: (problem: FileProblem) => void
}

export function fileChecks(): FileChecks {
  const checks: Check[] = []
  const inodes = new Map<Inode, { path: ByteString; size: number; attributes: ReadonlyMap<string, Buffer> }>()
  return {
    add(path, expected, report) {
      using reached = reachName(path)
      const status = lstatSync(filePath(reached.path), { bigint: true, throwIfNoEntry: false })
      if (status === undefined || !status.isFile()) {
        report('missing')
        return undefined
      }
      const inode = inodeOf(status)
      let known = inodes.get(inode)
      if (known === undefined) {
        known = { path, size: Number(status.size), attributes: extendedAttributes(pathBytes(reached.path)) }
        inodes.set(inode, known)
      }
      if (known.size !== expected.size) report('size')
      else {
        const hasMetadata = isLike(status, expected.metadata) && hasAttributes(known.attributes, expected.metadata)
        checks.push({ inode, expected, hasMetadata, report })
      }
      return inode
    },
    async run(hash) {
      const files = [...inodes.values()]
      const contents = await hash(files)
      const read = new Map<Inode, ReadFile>()
      for (const [index, [inode, { path }]] of [...inodes].entries()) {
        const content = contents[index]
        if (content !== undefined) read.set(inode, { path, ...content })
      }
      for (const { inode, expected, hasMetadata, report } of checks) {
        const content = read.get(inode)
        if (content === undefined || !isContentOf(content, expected)) report('content')
        else if (!hasMetadata) report('metadata')
      }
      return read
    },
  }
}

/** Whether the file that is expected has this content. */
export function isContentOf(
  { size, sha256 }: HashedContent,
  { metadata, size: wanted, object }: ExpectedFile,
): boolean {
  return size === wanted && objectId(metadata, size, sha256) === object
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

/** What the host's kernel puts on files by itself. */
export function isOfHost(attribute: string): boolean {
  return /^(?:security\.(?:selinux|ima|evm)|system\..*|(?:trusted|user)\.overlay\..*)$/.test(attribute)
}
