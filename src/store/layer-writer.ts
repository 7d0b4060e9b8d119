import { createHash, type Hash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { LayerEntry, LayerReceiver, Metadata } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import { applyMetadataToOpenFile } from './metadata.ts'
import { objectId } from './object.ts'
import type { Staging } from './staging.ts'

/** Takes a layer as it is read: regular files become objects in the staging, `entries` the tree of the layer. */
export interface LayerWriter extends LayerReceiver, Disposable {
  readonly entries: readonly StoredEntry[]
}

/** Several writers may share a staging. Disposing closes what an interrupted reading left open. */
export function layerWriter(staging: Staging): LayerWriter {
  const entries: StoredEntry[] = []
  let file: OpenObject | undefined
  return {
    entries,
    entry(given) {
      const entry = withoutHostAttributes(given)
      if (entry.kind !== 'file') entries.push(entry)
      else file = entry.size <= smallFile ? smallObject(entry, staging) : largeObject(entry, staging)
    },
    content: (bytes) => file?.write(bytes),
    hole: (length) => file?.skip(length),
    endFile() {
      if (file !== undefined) entries.push({ ...file.entry, object: file.finish() })
      file = undefined
    },
    [Symbol.dispose]: () => file?.abandon(),
  }
}

/** Up to this many bytes a file is gathered in memory, so that one which the store has is not written at all. */
const smallFile = 128 * 1024

type FileEntry = Extract<LayerEntry, { kind: 'file' }>

interface OpenObject {
  readonly entry: FileEntry
  write(bytes: Buffer): void
  skip(length: number): void
  /** @returns the object's id. */
  finish(): string
  abandon(): void
}

function smallObject(entry: FileEntry, staging: Staging): OpenObject {
  const content = Buffer.alloc(entry.size)
  let length = 0
  return {
    entry,
    write(bytes) {
      length += bytes.copy(content, length)
    },
    skip(gap) {
      length += gap
    },
    finish() {
      const id = objectId(entry.metadata, entry.size, createHash('sha256').update(content).digest('hex'))
      if (staging.has(id)) return id
      const fd = openSync(join(staging.folder, id), 'wx', 0o600)
      try {
        writeWhole(fd, content)
        applyMetadataToOpenFile(fd, entry.metadata, entry.path)
      } finally {
        closeSync(fd)
      }
      staging.add(id)
      return id
    },
    abandon() {},
  }
}

let parts = 0

function largeObject(entry: FileEntry, staging: Staging): OpenObject {
  const path = join(staging.folder, `part-${parts++}`)
  const fd = openSync(path, 'wx', 0o600)
  const hash = createHash('sha256')
  let length = 0
  return {
    entry,
    write(bytes) {
      hash.update(bytes)
      writeWhole(fd, bytes, length)
      length += bytes.length
    },
    skip(gap) {
      updateWithZeros(hash, gap)
      length += gap
    },
    finish() {
      try {
        ftruncateSync(fd, length)
        const id = objectId(entry.metadata, entry.size, hash.digest('hex'))
        if (staging.has(id)) {
          unlinkSync(path)
          return id
        }
        applyMetadataToOpenFile(fd, entry.metadata, entry.path)
        renameSync(path, join(staging.folder, id))
        staging.add(id)
        return id
      } finally {
        closeSync(fd)
      }
    },
    abandon: () => closeSync(fd),
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
