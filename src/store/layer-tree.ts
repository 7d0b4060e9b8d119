import { hash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileDurably } from '../host/durable-file.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import type { Metadata } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import type { ObjectId } from '../tree/node.ts'
import { objectList, objectPath } from './object.ts'

/** Some entries of a layer, encoded: a line of JSON each. */
export interface EncodedEntries {
  /** The place of each in the layer, ascending. */
  readonly indexes: Int32Array<ArrayBuffer>
  readonly lines: Uint8Array<ArrayBuffer>
}

/** Encodes entries as they come, so that none of them has to be held. */
export function encodedEntries(): { add(entry: StoredEntry, index: number): void; end(): EncodedEntries } {
  const indexes: number[] = []
  let lines = Buffer.allocUnsafeSlow(64 * 1024)
  let length = 0
  return {
    add(entry, index) {
      const line = `${JSON.stringify(toJson(entry))}\n`
      // No character of a byte string takes more than two bytes.
      if (length + 2 * line.length > lines.length) {
        const larger = Buffer.allocUnsafeSlow(Math.ceil(1.5 * lines.length) + 2 * line.length)
        lines.copy(larger, 0, 0, length)
        lines = larger
      }
      length += lines.write(line, length)
      indexes.push(index)
    },
    end: () => ({ indexes: Int32Array.from(indexes), lines: new Uint8Array(lines.buffer, 0, length) }),
  }
}

/**
 * The tree of a layer as its file holds it: a checksum, a line that tells the format, and the entries, a line of JSON each.
 *
 * @param parts which together have every entry of the layer, once.
 */
export function encodeLayerTree(parts: readonly EncodedEntries[]): Uint8Array {
  const begin = Buffer.from(`${'0'.repeat(digestLength)}\n${header}\n`)
  const size = parts.reduce((sum, { lines }) => sum + lines.length, begin.length)
  const tree = Buffer.allocUnsafeSlow(size)
  begin.copy(tree)
  const places = placesOf(parts, begin.length)
  for (const { indexes, lines } of parts) {
    let at = 0
    for (const index of indexes) {
      const end = lines.indexOf(lineFeed, at) + 1
      tree.set(lines.subarray(at, end), places[index])
      at = end
    }
  }
  tree.write(hash('sha256', tree.subarray(digestLength + 1)), 'latin1')
  return tree
}

/** Where in the tree each entry begins. */
function placesOf(parts: readonly EncodedEntries[], first: number): Float64Array {
  const places = new Float64Array(parts.reduce((sum, { indexes }) => sum + indexes.length, 0))
  for (const { indexes, lines } of parts) {
    let at = 0
    for (const index of indexes) {
      const end = lines.indexOf(lineFeed, at) + 1
      places[index] = end - at
      at = end
    }
  }
  let place = first
  for (const [index, length] of places.entries()) {
    places[index] = place
    place += length
  }
  return places
}

/** Hexadecimal digits of the checksum. */
const digestLength = 64

const lineFeed = 0x0a

/** Keeps the encoded tree of a verified layer, durably. Its objects must be in the store. */
export function writeLayerTree(store: string, diffId: Digest, encoded: Uint8Array): void {
  mkdirSync(layersFolder(store), { recursive: true, mode: 0o700 })
  writeFileDurably(layerTreePath(store, diffId), encoded, { mode: 0o600 })
}

/** @returns undefined when the store has no such tree, or one that is damaged: either way it has to be fetched. */
export function readLayerTree(store: string, diffId: Digest): StoredEntry[] | undefined {
  const bytes = readWhenPresent(layerTreePath(store, diffId))
  if (bytes === undefined) return undefined
  const end = bytes.indexOf(lineFeed)
  const body = bytes.subarray(end + 1)
  if (hash('sha256', body) !== bytes.toString('latin1', 0, end)) return undefined
  if (!body.subarray(0, header.length + 1).equals(Buffer.from(`${header}\n`))) return undefined
  // The checksum vouches for the shape: only `toJson` makes it.
  const entries: StoredEntry[] = []
  for (let at = header.length + 1; at < body.length; ) {
    const next = body.indexOf(lineFeed, at)
    entries.push(fromJson(JSON.parse(body.toString('utf8', at, next)) as JsonEntry))
    at = next + 1
  }
  return entries
}

/** Layers as they were read from a store, by diff id. */
export type StoredLayers = ReadonlyMap<Digest, readonly StoredEntry[]>

/** As `readLayerTree`; undefined, too, when the store has lost an object of it. */
export function readWholeLayerTree(store: string, diffId: Digest): StoredEntry[] | undefined {
  const entries = readLayerTree(store, diffId)
  if (entries === undefined) return undefined
  const isThere = entries.length > manyEntries ? objectList(store) : (id: ObjectId) => existsSync(objectPath(store, id))
  return entries.every((entry) => entry.kind !== 'file' || isThere(entry.object)) ? entries : undefined
}

/** Looking for so many objects takes longer than reading the names of all, also in a store that holds several times as many. */
const manyEntries = 5000

export function layersFolder(store: string): string {
  return join(store, 'layers')
}

export function layerTreePath(store: string, diffId: Digest): string {
  return join(layersFolder(store), `${digestAlgorithm(diffId)}-${digestHex(diffId)}`)
}

const header = 'forerun layer tree 3'

/** `rest` is what this kind of entry has: size and object, target, or the numbers of a device. */
type JsonEntry = [
  kind: StoredEntry['kind'],
  path: string,
  mode: number,
  uid: number,
  gid: number,
  seconds: number,
  nanoseconds: number,
  xattrs: 0 | [name: string, base64: string][],
  ...rest: unknown[],
]

function toJson(entry: StoredEntry): JsonEntry {
  const { kind, path, metadata } = entry
  const { mode, uid, gid, mtime } = metadata
  const xattrs = [...metadata.xattrs].map(([name, value]): [string, string] => [name, value.toString('base64')])
  const { seconds, nanoseconds } = mtime
  return [kind, path, mode, uid, gid, seconds, nanoseconds, xattrs.length === 0 ? 0 : xattrs, ...restOf(entry)]
}

function restOf(entry: StoredEntry): unknown[] {
  switch (entry.kind) {
    case 'file':
      return [entry.size, entry.object]
    case 'symlink':
    case 'hardlink':
      return [entry.target]
    case 'character-device':
    case 'block-device':
      return [entry.major, entry.minor]
    default:
      return []
  }
}

function fromJson([kind, path, mode, uid, gid, seconds, nanoseconds, xattrs, one, other]: JsonEntry): StoredEntry {
  const metadata: Metadata = {
    mode,
    uid,
    gid,
    mtime: { seconds, nanoseconds },
    xattrs: xattrs === 0 ? noAttributes : new Map(xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  }
  switch (kind) {
    case 'file':
      return { kind, path, metadata, size: one as number, object: other as string }
    case 'symlink':
    case 'hardlink':
      return { kind, path, metadata, target: one as string }
    case 'character-device':
    case 'block-device':
      return { kind, path, metadata, major: one as number, minor: other as number }
    default:
      return { kind, path, metadata }
  }
}

const noAttributes: Metadata['xattrs'] = new Map()
