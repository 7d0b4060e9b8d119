import { ForerunError } from '../errors.ts'
import type { ImageConfiguration } from '../image/configuration.ts'
import { parseImageConfiguration } from '../image/configuration.ts'
import type { ImageManifest } from '../image/manifest.ts'
import { parseManifest } from '../image/manifest.ts'
import { mergeLayers, type StoredEntry } from '../tree/merge.ts'
import type { DirectoryNode } from '../tree/node.ts'
import { type ImageRecord, readBlob, readImageIndex } from './image-index.ts'
import { readLayerTree, readWholeLayerTree, type StoredLayers } from './layer-tree.ts'

/** An image of the store, opened. */
export interface StoredImage {
  readonly record: ImageRecord
  readonly manifest: ImageManifest
  readonly configuration: ImageConfiguration
}

/** @throws ForerunError `store` when its manifest or configuration is lost. */
export function openImage(store: string, record: ImageRecord): StoredImage {
  const parsed = parseManifest(readBlob(store, record.manifest))
  if (parsed.kind !== 'manifest') throw new Error(`${record.manifest} is in the store as an image, and is an index`)
  const configuration = parseImageConfiguration(readBlob(store, record.id))
  return { record, manifest: parsed.manifest, configuration }
}

/**
 * The file system of an image; undefined when the store lacks a part of it, or a part is damaged: it has to be pulled again.
 *
 * @param options.objects whether the objects must be there, too; default true.
 * @param options.known layers that have just been read and found whole.
 */
export function imageTree(
  store: string,
  record: ImageRecord,
  { objects = true, known }: { objects?: boolean; known?: StoredLayers | undefined } = {},
): DirectoryNode | undefined {
  const layers: (readonly StoredEntry[])[] = []
  for (const diffId of record.diffIds) {
    const layer = known?.get(diffId) ?? (objects ? readWholeLayerTree(store, diffId) : readLayerTree(store, diffId))
    if (layer === undefined) return undefined
    layers.push(layer)
  }
  return mergeLayers(layers)
}

export interface WholeImage {
  readonly configuration: ImageConfiguration
  readonly tree: DirectoryNode
}

/** An image, opened, with its file system; undefined when any of it is lost or damaged. @param known as for `imageTree`. */
export function wholeImage(store: string, record: ImageRecord, known?: StoredLayers): WholeImage | undefined {
  const tree = imageTree(store, record, { known })
  if (tree === undefined) return undefined
  try {
    return { configuration: openImage(store, record).configuration, tree }
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'store') return undefined
    throw error
  }
}

/** The images that a full name, an id or the beginning of one (at least 3 digits), or a manifest's digest stands for. */
export function findImages(store: string, words: { name: string | undefined; id: string }): ImageRecord[] {
  const index = readImageIndex(store)
  const named = index.filter(({ names }) => words.name !== undefined && names.includes(words.name))
  if (named.length > 0) return named
  const id = words.id.replace(/^sha256:/, '')
  if (!/^[0-9a-f]{3,64}$/.test(id)) return []
  return index.filter((image) => image.id.startsWith(`sha256:${id}`) || image.manifest === `sha256:${id}`)
}
