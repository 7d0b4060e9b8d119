import { hash } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { contentDigest } from '../host/content-digest.ts'
import type { ByteString, LayerEntry, LayerReceiver } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import type { ObjectId } from '../tree/node.ts'
import { isAttributeOf, isOfBuildHost } from './attributes.ts'
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
  /** Told the name of each extended attribute that is left out because no file of its kind could hold it on Linux. */
  readonly leftOut?: (attribute: ByteString) => void
}

/**
 * Writes the objects that the store has not into a folder of a staging, laid out as the store's own, that belongs to
 * the writers of one layer. Disposing closes what an interrupted reading left open.
 */
export function layerWriter(store: string, folder: string, work: WriterWork): LayerWriter {
  const { take, wants = () => true, leftOut = () => {} } = work
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
      const entry = withHeldAttributes(given, leftOut)
      if (entry.kind !== 'file') take(entry, index)
      else file = entry.size <= smallFile ? smallObject(entry, place) : largeObject(entry, place)
    },
    content: (bytes) => file?.write(bytes),
    hole: (length) => file?.skip(length),
    endFile() {
      const ended = file
      // `finish` closes the file, also when it throws: disposing must not close that number again, another thread may have it.
      file = undefined
      if (ended !== undefined) take({ ...ended.entry, object: ended.finish() }, index)
    },
    [Symbol.dispose]() {
      file?.abandon()
      file = undefined
    },
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
  const digest = contentDigest((bytes, position) => writeWhole(fd, bytes, position))
  return {
    entry,
    write: (bytes) => digest.update(bytes),
    skip: (gap) => digest.zeros(gap),
    finish() {
      try {
        // It may end with a hole.
        ftruncateSync(fd, entry.size)
        const id = objectId(entry.metadata, entry.size, digest.end())
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

function withHeldAttributes(entry: LayerEntry, leftOut: (attribute: ByteString) => void): LayerEntry {
  const { xattrs } = entry.metadata
  if (xattrs.size === 0) return entry
  const held = [...xattrs].filter(([name]) => {
    if (isOfBuildHost(name)) return false
    const isHeld = isAttributeOf(entry.kind, name)
    if (!isHeld) leftOut(name)
    return isHeld
  })
  return { ...entry, metadata: { ...entry.metadata, xattrs: new Map(held) } }
}
