import { exportedVariables, readExports } from '../bundle/exports.ts'
import { builtInVariables, forcedVariables } from '../bundle/values.ts'
import { ForerunError } from '../errors.ts'
import { imageTree, openImage } from '../store/image.ts'
import { objectPath } from '../store/object.ts'
import type { Context } from './context.ts'
import { imageFiles } from './image-files.ts'
import { requireImage } from './images.ts'

export interface ImageInfo {
  readonly names: readonly string[]
  readonly id: string
  readonly manifest: string
  readonly labels: Readonly<Record<string, string>>
  /** Template variables that have a default, with it: the image's, or the built-in one where that is a fixed text. */
  readonly variables: Readonly<Record<string, string>>
  /** Template variables that `--set` has to give. */
  readonly required: readonly string[]
}

/** What a stored image says of itself. @throws ForerunError `image-not-found`, `store`, and for malformed `/exports`. */
export function imageInfo(words: string, context: Context): ImageInfo {
  const { store } = context.paths
  const record = requireImage(words, context)
  const tree = imageTree(store, record)
  if (tree === undefined) {
    throw new ForerunError('store', `the store has lost a layer of '${words}'`, {
      hint: `Pull the image again: forerun pull ${record.names[0] ?? words}`,
    })
  }
  const files = imageFiles(tree, (file) => objectPath(store, file.object))
  const exports = readExports(files)
  const used = exportedVariables(exports, files).filter((name) => !forcedVariables.includes(name))
  const defaults = exports.manifest.defaultValues
  return {
    names: record.names,
    id: record.id,
    manifest: record.manifest,
    labels: openImage(store, record).configuration.config.labels,
    variables: Object.fromEntries(defaults),
    required: used.filter((name) => !defaults.has(name) && !builtInVariables.includes(name)),
  }
}
