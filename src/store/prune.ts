import { statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from '../host/folder-entries.ts'
import type { Digest } from '../image/digest.ts'
import { blobPath, blobsFolder, type ImageRecord, readImageIndex } from './image-index.ts'
import { layersFolder, layerTreePath, readLayerTree } from './layer-tree.ts'
import { objectPath, objectsFolder } from './object.ts'
import { removePartialBlobs } from './partial-blob.ts'
import { storedManifest } from './stored-manifest.ts'

/**
 * Removes layer trees, objects, manifests and configurations that no image of the index needs, and what pulls that were
 * cut short received. Checkouts are not affected: a hard link keeps the inode. While a tree that an image needs is lost
 * or damaged, nobody knows its objects, and all objects stay. The store must be locked.
 *
 * @returns bytes that were freed; an object which a checkout still holds counts as none.
 */
export function pruneStore(store: string): number {
  const images = readImageIndex(store)
  const diffIds = [...new Set(images.flatMap((image) => image.diffIds))]
  const blobs = new Set(images.flatMap((image) => blobsOf(store, image)))
  const objects = neededObjects(store, diffIds)
  const objectFolders = objects === undefined ? [] : namesIn(objectsFolder(store))
  return (
    removePartialBlobs(store) +
    removeOthers(layersFolder(store), new Set(diffIds.map((diffId) => layerTreePath(store, diffId)))) +
    removeOthers(blobsFolder(store), blobs) +
    objectFolders.reduce((sum, name) => sum + removeOthers(join(objectsFolder(store), name), objects ?? new Set()), 0)
  )
}

/** Paths; undefined when a tree cannot be read. */
function neededObjects(store: string, diffIds: readonly Digest[]): ReadonlySet<string> | undefined {
  const objects = new Set<string>()
  for (const diffId of diffIds) {
    const entries = readLayerTree(store, diffId)
    if (entries === undefined) return undefined
    for (const entry of entries) if (entry.kind === 'file') objects.add(objectPath(store, entry.object))
  }
  return objects
}

/** Manifest and configuration, and the layers, which the setting `keep-blobs` has kept. */
function blobsOf(store: string, { manifest, id }: ImageRecord): string[] {
  const layers = storedManifest(store, manifest)?.layers ?? []
  return [manifest, id, ...layers.map(({ digest }) => digest)].map((digest) => blobPath(store, digest))
}

/** Trees go before objects, so that a kill in between leaves no tree without its objects. */
function removeOthers(folder: string, kept: ReadonlySet<string>): number {
  let freed = 0
  for (const name of namesIn(folder)) {
    const path = join(folder, name)
    if (kept.has(path)) continue
    const { nlink, blocks } = statSync(path)
    unlinkSync(path)
    if (nlink === 1) freed += blocks * 512
  }
  return freed
}
