import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { parseManifest } from '../image/manifest.ts'
import { blobPath, blobsFolder, type ImageRecord, readBlob, readImageIndex } from './image-index.ts'
import { layersFolder, layerTreePath, readLayerTree } from './layer-tree.ts'
import { objectPath, objectsFolder } from './object.ts'
import { removePartialBlobs } from './partial-blob.ts'

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
  return [manifest, id, ...layerDigests(store, manifest)].map((digest) => blobPath(store, digest))
}

/** None of a manifest that is lost or damaged: the image has to be pulled again anyhow. */
function layerDigests(store: string, manifest: Digest): Digest[] {
  try {
    const parsed = parseManifest(readBlob(store, manifest))
    return parsed.kind === 'manifest' ? parsed.manifest.layers.map(({ digest }) => digest) : []
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'store') return []
    throw error
  }
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
