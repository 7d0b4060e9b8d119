import { existsSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import { byteString, displayPath } from '../tree/entry.ts'
import type { ExpectedFile, FileChecks, FileProblem } from './file-checks.ts'
import { hashFile } from './hash-file.ts'
import { blobPath, type ImageRecord, readBlob } from './image-index.ts'
import { readLayerTree } from './layer-tree.ts'
import { objectPath } from './object.ts'
import { storedManifest } from './stored-manifest.ts'

/** A part of a stored image that is not what it was when it was pulled. */
export interface ImageFault {
  readonly kind: 'manifest' | 'configuration' | 'blob' | 'layer' | 'file'
  /** Digest of the manifest, the configuration, the layer as it was transferred or without compression, or where the file is in the image. */
  readonly name: string
  readonly problem: FileProblem | 'missing or damaged'
  /** The layer without compression that has it, of `blob`, `layer` and `file`. */
  readonly diffId?: Digest
  /** Of a file. */
  readonly expected?: ExpectedFile
}

/**
 * Compares images with their digests: manifests, configurations, kept blobs and trees now, and the content, owner, mode,
 * modification time and extended attributes of their objects when the checks are run. A layer that several images have is
 * checked once, for the first of them.
 *
 * @returns how many files there are.
 */
export function checkImages(
  store: string,
  records: readonly ImageRecord[],
  { checks, report }: { checks: FileChecks; report: (fault: ImageFault, record: ImageRecord) => void },
): number {
  const layers = new Set<Digest>()
  const objects = new Set<string>()
  for (const record of records) {
    const tell = (fault: ImageFault): void => report(fault, record)
    for (const fault of documentFaults(store, record)) tell(fault)
    for (const fault of blobFaults(store, record)) tell(fault)
    for (const diffId of record.diffIds) {
      if (layers.has(diffId)) continue
      layers.add(diffId)
      const entries = readLayerTree(store, diffId)
      if (entries === undefined) tell({ kind: 'layer', name: diffId, problem: 'missing or damaged', diffId })
      for (const entry of entries ?? []) {
        if (entry.kind !== 'file' || objects.has(entry.object)) continue
        objects.add(entry.object)
        checks.add(byteString(objectPath(store, entry.object)), entry, (problem) =>
          tell({ kind: 'file', name: `/${displayPath(entry.path)}`, problem, diffId, expected: entry }),
        )
      }
    }
  }
  return objects.size
}

function documentFaults(store: string, record: ImageRecord): ImageFault[] {
  const documents = [
    ['manifest', record.manifest],
    ['configuration', record.id],
  ] as const
  return documents
    .filter(([, digest]) => !isWholeBlob(store, digest))
    .map(([kind, name]) => ({ kind, name, problem: 'missing or damaged' }))
}

function isWholeBlob(store: string, digest: Digest): boolean {
  try {
    readBlob(store, digest)
    return true
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'store') return false
    throw error
  }
}

/** Of the layers that the setting `keep-blobs` has kept. */
function blobFaults(store: string, record: ImageRecord): ImageFault[] {
  const layers = storedManifest(store, record.manifest)?.layers ?? []
  return layers.flatMap(({ digest, size }, index): ImageFault[] => {
    const path = blobPath(store, digest)
    const diffId = record.diffIds[index]
    if (diffId === undefined || digestAlgorithm(digest) !== 'sha256' || !existsSync(path)) return []
    const found = hashFile(byteString(path))
    if (found.size === size && found.sha256 === digestHex(digest)) return []
    return [{ kind: 'blob', name: digest, problem: found.size === size ? 'content' : 'size', diffId }]
  })
}
