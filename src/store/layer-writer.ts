import { createHash, type Hash, hash } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import type { LayerEntry, LayerReceiver, Metadata } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import type { ObjectId } from '../tree/node.ts'
import { applyMetadataToNewFile, type NewFileOwner, newMode, ownerOfNewFiles } from './metadata.ts'
import { objectId, objectPath, objectsFolder } from './object.ts'

/** Takes a layer as it is read: regular files become objects in the staging. */
export interface LayerWriter extends LayerReceiver, Disposable {}

/** What a writer makes of a layer. */
export interface WriterWork {
  /** Told each entry once it is made, with its place in the layer, from 0 on. */
  readonly take: (entry: StoredEntry, index: number) => void
  /** Whether to make the entry at that place of the layer, or leave it to another writer; asked for each. Default: all. */
  readonly wants?: (index: number) => boolean
}

/**
 * Writes the objects that the store has not into a folder of a staging, laid out as the store's own, that belongs to
 * the writers of one layer. Disposing closes what an interrupted reading left open.
 */
export function layerWriter(store: string, folder: string, { take, wants = () => true }: WriterWork): LayerWriter {
  const written = new Set<ObjectId>()
  const folders = new Set<string>()
  const storeIsEmpty = !existsSync(objectsFolder(store))
  const place: Place = {
    folder,
    owner: ownerOfNewFiles(),
    scratch: Buffer.allocUnsafeSlow(smallFile),
    has: (id) => written.has(id) || (!storeIsEmpty && existsSync(objectPath(store, id))),
    path(id) {
      const parent = id.slice(0, 2)
      // Another writer may have made it.
      if (!folders.has(parent)) mkdirSync(`${folder}/${parent}`, { mode: 0o700, recursive: true })
      folders.add(parent)
      return `${folder}/${parent}/${id.slice(2)}`
    },
    add: (id) => written.add(id),
  }
  let index = -1
  let file: OpenObject | undefined
  return {
    entry(given) {
      if (!wants(++index)) return
      const entry = withoutHostAttributes(given)
      if (entry.kind !== 'file') take(entry, index)
      else file = entry.size <= smallFile ? smallObject(entry, place) : largeObject(entry, place)
    },
    content: (bytes) => file?.write(bytes),
    hole: (length) => file?.skip(length),
    endFile() {
      if (file !== undefined) take({ ...file.entry, object: file.finish() }, index)
      file = undefined
    },
    [Symbol.dispose]: () => file?.abandon(),
  }
}

/** Up to this many bytes a file is gathered in memory, so that one which the store has is not written at all. */
const smallFile = 128 * 1024

type FileEntry = Extract<LayerEntry, { kind: 'file' }>

interface Place {
  readonly folder: string
  readonly owner: NewFileOwner
  /** Where small files are gathered, one at a time. */
  readonly scratch: Buffer
  /** Whether the object is in the store, or was written here. */
  has(id: ObjectId): boolean
  /** Where it is to be written; the folder is made. */
  path(id: ObjectId): string
  add(id: ObjectId): void
}

interface OpenObject {
  readonly entry: FileEntry
  write(bytes: Buffer): void
  skip(length: number): void
  /** @returns the object's id. */
  finish(): ObjectId
  abandon(): void
}

function smallObject(entry: FileEntry, place: Place): OpenObject {
  const content = place.scratch.subarray(0, entry.size)
  let length = 0
  return {
    entry,
    write(bytes) {
      length += bytes.copy(content, length)
    },
    skip(gap) {
      content.fill(0, length, length + gap)
      length += gap
    },
    finish() {
      const id = objectId(entry.metadata, entry.size, hash('sha256', content))
      if (place.has(id)) return id
      place.add(id)
      const fd = openUnlessPresent(place.path(id), newMode('file', entry.metadata, place.owner))
      if (fd === undefined) return id
      try {
        writeWhole(fd, content)
        applyMetadataToNewFile(fd, entry, place.owner)
      } finally {
        closeSync(fd)
      }
      return id
    },
    abandon() {},
  }
}

function largeObject(entry: FileEntry, place: Place): OpenObject {
  const path = `${place.folder}/unfinished-${threadId}`
  const fd = openSync(path, 'wx', newMode('file', entry.metadata, place.owner))
  const hash = createHash('sha256')
  let length = 0
  let written = 0
  return {
    entry,
    write(bytes) {
      hash.update(bytes)
      writeWhole(fd, bytes, length)
      length += bytes.length
      written = length
    },
    skip(gap) {
      updateWithZeros(hash, gap)
      length += gap
    },
    finish() {
      try {
        if (written < length) ftruncateSync(fd, length)
        const id = objectId(entry.metadata, entry.size, hash.digest('hex'))
        if (place.has(id)) {
          unlinkSync(path)
          return id
        }
        applyMetadataToNewFile(fd, entry, place.owner)
        renameSync(path, place.path(id))
        place.add(id)
        return id
      } finally {
        closeSync(fd)
      }
    },
    abandon: () => closeSync(fd),
  }
}

/** @returns undefined where another writer of the layer makes the same object. */
function openUnlessPresent(path: string, mode: number): number | undefined {
  try {
    return openSync(path, 'wx', mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return undefined
  }
}

function writeWhole(fd: number, bytes: Buffer, position = 0): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

function updateWithZeros(hash: Hash, length: number): void {
  for (let left = length; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, Math.min(left, zeros.length)))
}

const zeros = Buffer.alloc(1024 * 1024)

/** Labels and overlay markers belong to the host that the image was built on. */
function withoutHostAttributes<Entry extends { metadata: Metadata }>(entry: Entry): Entry {
  if (entry.metadata.xattrs.size === 0) return entry
  const xattrs = new Map([...entry.metadata.xattrs].filter(([name]) => !hostAttribute.test(name)))
  return { ...entry, metadata: { ...entry.metadata, xattrs } }
}

const hostAttribute = /^(?:security\.selinux|system\.nfs4_acl|(?:trusted|user)\.overlay\..*)$/
