import { ForerunError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { type ImageManifest, parseManifest } from '../image/manifest.ts'
import { readBlob } from './image-index.ts'

/** The manifest of a stored image; undefined when it is lost or damaged: the image has to be pulled again. */
export function storedManifest(store: string, digest: Digest): ImageManifest | undefined {
  try {
    const parsed = parseManifest(readBlob(store, digest))
    return parsed.kind === 'manifest' ? parsed.manifest : undefined
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'store') return undefined
    throw error
  }
}
