import { statSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { namesIn } from '../host/folder-entries.ts'
import { parseImageConfiguration } from '../image/configuration.ts'
import { type Digest, isDigest } from '../image/digest.ts'
import { blobPath, blobsFolder, type ImageRecord, readBlob, writeImageIndex } from './image-index.ts'
import { readLayerTree } from './layer-tree.ts'
import { storedManifest } from './stored-manifest.ts'

/**
 * Makes the list of images anew of the manifests that the store holds whole. Names that nothing else knows are lost, and
 * so is what policies have accepted. The store must be locked.
 *
 * @param names full names by manifest.
 */
export function rebuildImageIndex(store: string, names: ReadonlyMap<string, string>): ImageRecord[] {
  const images = digests(store).flatMap((digest): ImageRecord[] => {
    const record = recordOf(store, digest, names.get(digest))
    return record === undefined ? [] : [record]
  })
  writeImageIndex(store, images)
  return images
}

function digests(store: string): Digest[] {
  return namesIn(blobsFolder(store))
    .map((name) => name.replace('-', ':'))
    .filter(isDigest)
}

/** undefined for a blob that is no manifest, or whose configuration is lost. */
function recordOf(store: string, manifest: Digest, name: string | undefined): ImageRecord | undefined {
  // Layers may be kept there, too.
  if (statSync(blobPath(store, manifest)).size > largestManifest) return undefined
  try {
    const { config, layers } = storedManifest(store, manifest) ?? {}
    if (config === undefined || layers === undefined) return undefined
    const { diffIds } = parseImageConfiguration(readBlob(store, config.digest))
    const names = name === undefined ? [] : [name]
    return {
      manifest,
      id: config.digest,
      names,
      diffIds,
      transferSize: layers.reduce((sum, { size }) => sum + size, 0),
      treeSize: diffIds.reduce((sum, diffId) => sum + fileBytes(store, diffId), 0),
      pulled: Math.floor(Date.now() / 1000),
      origins: names,
      accepted: [],
    }
  } catch (error) {
    if (error instanceof ForerunError) return undefined
    throw error
  }
}

const largestManifest = 4 * 1024 * 1024

function fileBytes(store: string, diffId: Digest): number {
  return (readLayerTree(store, diffId) ?? []).reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0)
}
