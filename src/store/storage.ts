import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { entriesIn, namesIn } from '../host/folder-entries.ts'
import type { Digest } from '../image/digest.ts'
import { blobPath, blobsFolder, type ImageRecord } from './image-index.ts'
import { layersFolder, layerTreePath, readLayerTree } from './layer-tree.ts'
import { objectPath, objectsFolder } from './object.ts'
import { storedManifest } from './stored-manifest.ts'

/** Bytes that a file takes on the disk, and the images and deployments that it belongs to. */
interface Inode {
  readonly bytes: number
  readonly owners: Set<string>
}

export interface Share {
  /** Bytes on the disk of all that it has. */
  readonly used: number
  /** Of those, what others have, too. */
  readonly shared: number
  /** What would be free if it alone were gone: `used` without `shared`. */
  readonly own: number
}

export interface StorageUse {
  /** Bytes on the disk of everything, each inode once. */
  readonly total: number
  /** Of the images that were asked for, by manifest. */
  readonly images: ReadonlyMap<Digest, Share>
  /** By folder. */
  readonly deployments: ReadonlyMap<string, Share>
  /** Of what no image has: what is left of pulls and deleted images. */
  readonly leftover: number
}

/**
 * Counts the disk blocks of the store and of deployments, each inode once, whatever its names. Blocks that reflinks share
 * are counted with each of them: stat(2) does not tell.
 */
export function storageUse(store: string, images: readonly ImageRecord[], folders: readonly string[]): StorageUse {
  const inodes = new Map<string, Inode>()
  const count = (path: string, having: Iterable<string>): void => {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined) return
    const key = `${status.dev}:${status.ino}`
    let inode = inodes.get(key)
    if (inode === undefined) {
      inode = { bytes: status.blocks * 512, owners: new Set() }
      inodes.set(key, inode)
    }
    for (const owner of having) inode.owners.add(owner)
  }
  const owners = ownersOf(store, images)
  for (const path of filesOf(store)) count(path, owners.get(path) ?? [])
  for (const folder of folders) for (const path of everythingIn(folder)) count(path, [folder])
  return sums(inodes, images, folders)
}

/** The images of each file of the store. */
function ownersOf(store: string, images: readonly ImageRecord[]): Map<string, string[]> {
  const owners = new Map<string, string[]>()
  const add = (path: string, owner: string): void => {
    const known = owners.get(path)
    if (known === undefined) owners.set(path, [owner])
    else if (known.at(-1) !== owner) known.push(owner)
  }
  const byLayer = new Map<Digest, string[]>()
  for (const { manifest, id, diffIds } of images) {
    for (const digest of [manifest, id]) add(blobPath(store, digest), manifest)
    for (const { digest } of storedManifest(store, manifest)?.layers ?? []) add(blobPath(store, digest), manifest)
    for (const diffId of new Set(diffIds)) byLayer.set(diffId, [...(byLayer.get(diffId) ?? []), manifest])
  }
  for (const [diffId, manifests] of byLayer) {
    const entries = readLayerTree(store, diffId) ?? []
    for (const manifest of manifests) {
      add(layerTreePath(store, diffId), manifest)
      for (const entry of entries) if (entry.kind === 'file') add(objectPath(store, entry.object), manifest)
    }
  }
  return owners
}

/** All files of the store but the list of images. */
function filesOf(store: string): string[] {
  const objects = pathsIn(objectsFolder(store)).flatMap(pathsIn)
  const partial = pathsIn(join(store, 'partial'))
  return [...pathsIn(layersFolder(store)), ...pathsIn(blobsFolder(store)), ...partial, ...objects]
}

function pathsIn(folder: string): string[] {
  return namesIn(folder).map((name) => `${folder}/${name}`)
}

/** With folders themselves. Goes into no other file system, and follows no link. */
function* everythingIn(folder: string): Generator<string> {
  yield folder
  for (const entry of entriesIn(folder)) {
    const path = `${folder}/${entry.name}`
    if (!entry.isDirectory()) yield path
    else if (lstatSync(path).dev === lstatSync(folder).dev) yield* everythingIn(path)
  }
}

function sums(
  inodes: ReadonlyMap<string, Inode>,
  images: readonly ImageRecord[],
  folders: readonly string[],
): StorageUse {
  const shares = new Map<string, { used: number; shared: number; own: number }>()
  for (const owner of [...images.map(({ manifest }) => manifest), ...folders]) {
    shares.set(owner, { used: 0, shared: 0, own: 0 })
  }
  let total = 0
  let leftover = 0
  for (const { bytes, owners } of inodes.values()) {
    total += bytes
    if (owners.size === 0) leftover += bytes
    for (const owner of owners) {
      const share = shares.get(owner)
      if (share === undefined) continue
      share.used += bytes
      if (owners.size > 1) share.shared += bytes
      else share.own += bytes
    }
  }
  const none: Share = { used: 0, shared: 0, own: 0 }
  return {
    total,
    images: new Map(images.map(({ manifest }) => [manifest, shares.get(manifest) ?? none])),
    deployments: new Map(folders.map((folder) => [folder, shares.get(folder) ?? none])),
    leftover,
  }
}
