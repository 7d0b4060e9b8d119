import { createHash } from 'node:crypto'
import { createReadStream, lstatSync, readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { extendedAttributes } from '../host/system-calls.ts'
import type { Digest } from '../image/digest.ts'
import { displayPath, type Metadata, pathBytes } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import type { ObjectId } from '../tree/node.ts'
import { type ImageRecord, readBlob, readImageIndex } from './image-index.ts'
import { readLayerTree } from './layer-tree.ts'
import { objectId, objectPath } from './object.ts'

/** A part of a stored image that is not what it was when it was pulled. */
export interface ImageFault {
  readonly kind: 'manifest' | 'configuration' | 'layer' | 'file'
  /** Digest of the manifest, the configuration or the uncompressed layer, or where the file is in the image. */
  readonly name: string
  readonly problem: 'missing' | 'size' | 'content' | 'metadata' | 'missing or damaged'
  /** Of a file. */
  readonly object?: ObjectId
}

/**
 * Reads all of a stored image and compares it with its digests: manifest, configuration, trees, and of every file the content,
 * owner, mode, modification time and extended attributes.
 *
 * @returns the faults, and how many files there are.
 * @throws ForerunError `interrupted`
 */
export async function imageFaults(
  store: string,
  record: ImageRecord,
  { signal }: { signal: AbortSignal },
): Promise<{ faults: readonly ImageFault[]; files: number }> {
  const faults: ImageFault[] = [
    ...blobFaults(store, record.manifest, 'manifest'),
    ...blobFaults(store, record.id, 'configuration'),
  ]
  const seen = new Set<string>()
  let yielded = performance.now()
  for (const diffId of new Set(record.diffIds)) {
    const entries = readLayerTree(store, diffId)
    if (entries === undefined) faults.push({ kind: 'layer', name: diffId, problem: 'missing or damaged' })
    for (const entry of entries ?? []) {
      if (entry.kind !== 'file' || seen.has(entry.object)) continue
      seen.add(entry.object)
      if (signal.aborted) throw new ForerunError('interrupted', 'interrupted while reading the store')
      if (performance.now() - yielded > 50) {
        await nextTurn()
        yielded = performance.now()
      }
      const problem = await objectProblem(objectPath(store, entry.object), entry)
      if (problem === undefined) continue
      faults.push({ kind: 'file', name: `/${displayPath(entry.path)}`, problem, object: entry.object })
    }
  }
  return { faults, files: seen.size }
}

/** The images of the store that have any of these files. */
export function imagesWith(store: string, objects: ReadonlySet<ObjectId>): ImageRecord[] {
  return readImageIndex(store).filter(({ diffIds }) =>
    diffIds.some((diffId) =>
      readLayerTree(store, diffId)?.some((entry) => entry.kind === 'file' && objects.has(entry.object)),
    ),
  )
}

function blobFaults(store: string, digest: Digest, kind: 'manifest' | 'configuration'): ImageFault[] {
  try {
    readBlob(store, digest)
    return []
  } catch (error) {
    if (!(error instanceof ForerunError && error.code === 'store')) throw error
    return [{ kind, name: digest, problem: 'missing or damaged' }]
  }
}

type FileEntry = Extract<StoredEntry, { kind: 'file' }>

async function objectProblem(path: string, entry: FileEntry): Promise<ImageFault['problem'] | undefined> {
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (status === undefined || !status.isFile()) return 'missing'
  if (status.size !== BigInt(entry.size)) return 'size'
  if (objectId(entry.metadata, entry.size, await contentSha256(path, entry.size)) !== entry.object) return 'content'
  const { mode, uid, gid, mtime, xattrs } = entry.metadata
  const isSame =
    Number(status.mode & 0o7777n) === mode &&
    Number(status.uid) === uid &&
    Number(status.gid) === gid &&
    status.mtimeNs === BigInt(mtime.seconds) * 1_000_000_000n + BigInt(mtime.nanoseconds) &&
    hasAttributes(path, xattrs)
  return isSame ? undefined : 'metadata'
}

/** Read whole up to this many bytes, which is quicker. */
const smallFile = 1024 * 1024

async function contentSha256(path: string, size: number): Promise<string> {
  const hash = createHash('sha256')
  if (size <= smallFile) return hash.update(readFileSync(path)).digest('hex')
  for await (const bytes of createReadStream(path, { highWaterMark: smallFile })) hash.update(bytes as Buffer)
  return hash.digest('hex')
}

function hasAttributes(path: string, wanted: Metadata['xattrs']): boolean {
  const found = extendedAttributes(pathBytes(path))
  const isWhole = [...wanted].every(([name, value]) => found.get(name)?.equals(value) === true)
  return isWhole && [...found.keys()].every((name) => wanted.has(name) || ofHost.test(name))
}

/** What the host's kernel puts on files by itself. */
const ofHost = /^(?:security\.(?:selinux|ima|evm)|system\..*|(?:trusted|user)\.overlay\..*)$/
