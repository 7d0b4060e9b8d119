import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileDurably } from '../host/durable-file.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import type { Metadata } from '../tree/entry.ts'
import type { StoredEntry } from '../tree/merge.ts'
import { objectPath } from './object.ts'

/** Keeps the tree of a verified layer, durably. Its objects must be in the store. */
export function writeLayerTree(store: string, diffId: Digest, entries: readonly StoredEntry[]): void {
  mkdirSync(layersFolder(store), { recursive: true, mode: 0o700 })
  const body = `${[header, ...entries.map((entry) => JSON.stringify(toJson(entry)))].join('\n')}\n`
  writeFileDurably(layerTreePath(store, diffId), `${checksum(body)}\n${body}`, { mode: 0o600 })
}

/** @returns undefined when the store has no such tree, or one that is damaged: either way it has to be fetched. */
export function readLayerTree(store: string, diffId: Digest): StoredEntry[] | undefined {
  const text = readWhenPresent(layerTreePath(store, diffId))?.toString('utf8')
  if (text === undefined) return undefined
  const end = text.indexOf('\n')
  const body = text.slice(end + 1)
  if (checksum(body) !== text.slice(0, end) || !body.startsWith(`${header}\n`)) return undefined
  return body
    .slice(header.length + 1)
    .split('\n')
    .slice(0, -1)
    .map((line) => fromJson(JSON.parse(line)))
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

const header = 'forerun layer tree 1'

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

type JsonEntry = Omit<StoredEntry, 'metadata'> & {
  metadata: Omit<Metadata, 'xattrs'> & { xattrs: [name: string, base64: string][] }
}

function toJson(entry: StoredEntry): JsonEntry {
  const xattrs = [...entry.metadata.xattrs].map(([name, value]): [string, string] => [name, value.toString('base64')])
  return { ...entry, metadata: { ...entry.metadata, xattrs } }
}

/** The checksum vouches for the shape: only `toJson` writes these lines. */
function fromJson(json: JsonEntry): StoredEntry {
  const xattrs = new Map(json.metadata.xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')]))
  return { ...json, metadata: { ...json.metadata, xattrs } } as StoredEntry
}
