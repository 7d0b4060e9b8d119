import { existsSync } from 'node:fs'
import { ForerunError } from '../errors.ts'
import { hearSignals } from '../host/event-loop.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import { byteString, displayPath } from '../tree/entry.ts'
import type { ExpectedFile, FileChecks, FileProblem } from './file-checks.ts'
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
 * Compares images with their digests: manifests, configurations and trees now, and kept blobs and the content, owner, mode,
 * modification time and extended attributes of their objects when the checks are run. A layer that several images have is
 * checked once, for the first of them.
 *
 * @returns how many files there are.
 * @throws ForerunError `interrupted`
 */
export async function checkImages(
  store: string,
  records: readonly ImageRecord[],
  {
    checks,
    report,
    signal,
  }: { checks: FileChecks; report: (fault: ImageFault, record: ImageRecord) => void; signal: AbortSignal },
): Promise<number> {
  const step = hearSignals(signal, 'while reading the store')
  const layers = new Set<Digest>()
  const objects = new Set<string>()
  for (const record of records) {
    const tell = (fault: ImageFault): void => report(fault, record)
    for (const fault of documentFaults(store, record)) tell(fault)
    checkBlobs(store, record, { checks, tell })
    for (const diffId of record.diffIds) {
      if (layers.has(diffId)) continue
      layers.add(diffId)
      await step()
      const entries = readLayerTree(store, diffId)
      if (entries === undefined) tell({ kind: 'layer', name: diffId, problem: 'missing or damaged', diffId })
      for (const entry of entries ?? []) {
        if (entry.kind !== 'file' || objects.has(entry.object)) continue
        objects.add(entry.object)
        await step()
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

/** Those of the layers that the setting `keep-blobs` has kept. */
function checkBlobs(
  store: string,
  record: ImageRecord,
  { checks, tell }: { checks: FileChecks; tell: (fault: ImageFault) => void },
): void {
  const layers = storedManifest(store, record.manifest)?.layers ?? []
  for (const [index, { digest, size }] of layers.entries()) {
    const path = blobPath(store, digest)
    const diffId = record.diffIds[index]
    if (diffId === undefined || digestAlgorithm(digest) !== 'sha256' || !existsSync(path)) continue
    checks.addContent(byteString(path), { size, sha256: digestHex(digest) }, (problem) =>
      tell({ kind: 'blob', name: digest, problem, diffId }),
    )
  }
}
