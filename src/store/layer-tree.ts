import { hash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileDurably } from '../host/durable-file.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import type { Metadata } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import { objectPath } from './object.ts'

/** The tree of a layer as its file holds it: a checksum, a line that tells the format, and JSON. */
export function encodeLayerTree(entries: readonly StoredEntry[]): Uint8Array {
  const body = `${header}\n${JSON.stringify(entries.map(toJson))}\n`
  return new TextEncoder().encode(`${hash('sha256', body)}\n${body}`)
}

/** Keeps the encoded tree of a verified layer, durably. Its objects must be in the store. */
export function writeLayerTree(store: string, diffId: Digest, encoded: Uint8Array): void {
  mkdirSync(layersFolder(store), { recursive: true, mode: 0o700 })
  writeFileDurably(layerTreePath(store, diffId), encoded, { mode: 0o600 })
}

/** @returns undefined when the store has no such tree, or one that is damaged: either way it has to be fetched. */
export function readLayerTree(store: string, diffId: Digest): StoredEntry[] | undefined {
  const bytes = readWhenPresent(layerTreePath(store, diffId))
  if (bytes === undefined) return undefined
  const end = bytes.indexOf(0x0a)
  const body = bytes.subarray(end + 1)
  if (hash('sha256', body) !== bytes.toString('latin1', 0, end)) return undefined
  const text = body.toString('utf8')
  if (!text.startsWith(`${header}\n`)) return undefined
  // The checksum vouches for the shape: only `toJson` makes it.
  return (JSON.parse(text.slice(header.length)) as JsonEntry[]).map(fromJson)
}

/** As `readLayerTree`; undefined, too, when the store has lost an object of it. */
export function readWholeLayerTree(store: string, diffId: Digest): StoredEntry[] | undefined {
  const entries = readLayerTree(store, diffId)
  const lost = entries?.some((entry) => entry.kind === 'file' && !existsSync(objectPath(store, entry.object)))
  return lost ? undefined : entries
}

export function layersFolder(store: string): string {
  return join(store, 'layers')
}

export function layerTreePath(store: string, diffId: Digest): string {
  return join(layersFolder(store), `${digestAlgorithm(diffId)}-${digestHex(diffId)}`)
}

const header = 'forerun layer tree 2'

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
