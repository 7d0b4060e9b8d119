import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { blobPath, blobsFolder, type ImageRecord, readImageIndex } from './image-index.ts'
import { layersFolder, layerTreePath, readLayerTree } from './layer-tree.ts'
import { objectPath, objectsFolder } from './object.ts'
import { removePartialBlobs } from './partial-blob.ts'
import { storedManifest } from './stored-manifest.ts'

/**
 * Removes layer trees, objects, manifests and configurations that no image of the index needs, and what pulls that were
 * cut short received. Checkouts are not
 * affected: a hard link keeps the inode. The store must be locked.
 *
 * @returns bytes that were freed; an object which a checkout still holds counts as none.
 */
export function pruneStore(store: string): number {
  const images = readImageIndex(store)
  const trees = new Set(images.flatMap(({ diffIds }) => diffIds.map((diffId) => layerTreePath(store, diffId))))
  const blobs = new Set(images.flatMap((image) => blobsOf(store, image)))
  const objects = new Set(
    [...new Set(images.flatMap(({ diffIds }) => diffIds))].flatMap((diffId) =>
      (readLayerTree(store, diffId) ?? []).flatMap((entry) =>
        entry.kind === 'file' ? [objectPath(store, entry.object)] : [],
      ),
    ),
  )
  const objectFolders = names(objectsFolder(store)).map((name) => join(objectsFolder(store), name))
  return (
    removePartialBlobs(store) +
    removeOthers(layersFolder(store), trees) +
    removeOthers(blobsFolder(store), blobs) +
    objectFolders.reduce((sum, folder) => sum + removeOthers(folder, objects), 0)
  )
}

/** Manifest and configuration, and the layers, which the setting `keep-blobs` has kept. */
function blobsOf(store: string, { manifest, id }: ImageRecord): string[] {
  const layers = storedManifest(store, manifest)?.layers ?? []
  return [manifest, id, ...layers.map(({ digest }) => digest)].map((digest) => blobPath(store, digest))
}

/** Trees go before objects, so that a kill in between leaves no tree without its objects. */
function removeOthers(folder: string, kept: ReadonlySet<string>): number {
  let freed = 0
  for (const name of names(folder)) {
    const path = join(folder, name)
    if (kept.has(path)) continue
    const { nlink, blocks } = statSync(path)
    unlinkSync(path)
    if (nlink === 1) freed += blocks * 512
  }
  return freed
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
