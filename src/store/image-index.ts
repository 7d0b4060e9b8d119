import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { writeFileDurably } from '../host/durable-file.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import { digestSchema } from '../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex, digestOf } from '../image/digest.ts'

/** What the store knows of an image without opening its manifest. */
export interface ImageRecord {
  readonly manifest: Digest
  /** The digest of the configuration, which is the image's id. */
  readonly id: Digest
  /** Full names: `docker.io/library/etcd:3.5`. None: the image is dangling. */
  readonly names: readonly string[]
  /** How words named the repository of a full name, without the tag; see `spellingsOf`. Stores of 0.1 do not have it. */
  readonly spellings?: Readonly<Record<string, readonly string[]>> | undefined
  /** Uncompressed layers, base first. */
  readonly diffIds: readonly Digest[]
  /** Bytes of all layers as they were transferred. */
  readonly transferSize: number
  /** Bytes of all files of the merged tree. */
  readonly treeSize: number
  /** Unix time of the last pull, in seconds. */
  readonly pulled: number
  /**
   * Where it was pulled from, latest first, as `formatLocation` writes it: what of it the store did not keep can be had
   * there again, as far as that still exists.
   */
  readonly origins: readonly string[]
  /** What trust policies required of it, and was met, as `acceptanceOf` writes it. */
  readonly accepted: readonly string[]
}

/** All images of the store; none for a store that is not there yet. @throws ForerunError `store` for a damaged index. */
export function readImageIndex(store: string): ImageRecord[] {
  try {
    return v.parse(indexSchema, JSON.parse(readFileSync(indexPath(store), 'utf8'))).images
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    if (!(cause instanceof SyntaxError || cause instanceof v.ValiError)) throw cause
    throw new ForerunError('store', `the list of images '${indexPath(store)}' is damaged`, {
      cause,
      hint: 'Have it made anew of what the store holds: forerun verify --repair. Containers are not affected.',
    })
  }
}

const indexSchema = v.object({
  images: v.array(
    v.object({
      manifest: digestSchema,
      id: digestSchema,
      names: v.array(v.string()),
      spellings: v.optional(v.record(v.string(), v.array(v.string()))),
      diffIds: v.array(digestSchema),
      transferSize: v.number(),
      treeSize: v.number(),
      pulled: v.number(),
      // Stores of 0.1 do not have these.
      origins: v.optional(v.array(v.string()), []),
      accepted: v.optional(v.array(v.string()), []),
    }),
  ),
})

/** Replaces the list in one durable step. The store must be locked. */
export function writeImageIndex(store: string, images: readonly ImageRecord[]): void {
  mkdirSync(store, { recursive: true, mode: 0o700 })
  writeFileDurably(indexPath(store), `${JSON.stringify({ images }, undefined, 1)}\n`, { mode: 0o600 })
}

/** Keeps a manifest or configuration verbatim, durably. */
export function writeBlob(store: string, digest: Digest, bytes: Buffer): void {
  mkdirSync(blobsFolder(store), { recursive: true, mode: 0o700 })
  writeFileDurably(blobPath(store, digest), bytes, { mode: 0o600 })
}

/** A manifest or configuration as it was pulled. @throws ForerunError `store` when it is not there or not what its digest says. */
export function readBlob(store: string, digest: Digest): Buffer {
  const bytes = readWhenPresent(blobPath(store, digest))
  if (bytes !== undefined && digestOf(bytes, digest) === digest) return bytes
  throw new ForerunError('store', `the store has lost '${digest}'`, {
    hint: 'Pull the image again: forerun pull IMAGE.',
  })
}

export function blobsFolder(store: string): string {
  return join(store, 'blobs')
}

export function blobPath(store: string, digest: Digest): string {
  return join(blobsFolder(store), `${digestAlgorithm(digest)}-${digestHex(digest)}`)
}

function indexPath(store: string): string {
  return join(store, 'images.json')
}
