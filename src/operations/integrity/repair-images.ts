import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import { syncFileSystemOf } from '../../host/durable-file.ts'
import type { Digest } from '../../image/digest.ts'
import { type ExpectedFile, fileChecks, isContentOf, type ReadFile } from '../../store/file-checks.ts'
import type { ImageFault } from '../../store/image-faults.ts'
import { blobPath, blobsFolder, type ImageRecord, writeBlob } from '../../store/image-index.ts'
import { readLayerTree, writeLayerTree } from '../../store/layer-tree.ts'
import { objectPath } from '../../store/object.ts'
import { keepPartialBlob } from '../../store/partial-blob.ts'
import { openReplacements, type Replacements } from '../../store/replacements.ts'
import { openStaging } from '../../store/staging.ts'
import { byteString } from '../../tree/entry.ts'
import type { ObjectId } from '../../tree/node.ts'
import { hashInThreads } from '../../workers/hash-in-threads.ts'
import type { Context, SourceOptions } from '../context.ts'
import { findSameImage } from '../lookup/find-same-image.ts'
import { type FetchedLayers, fetchLayers } from '../transfer/fetch-layers.ts'

export type ImageDamage = { readonly record: ImageRecord; readonly fault: ImageFault }

/**
 * Puts right what is damaged of stored images: objects from equal files that have been read, wherever they are, and the
 * rest from where each image came from, of which only the layers that are needed are fetched.
 *
 * @returns what was done, a sentence each. What could not be is told as a notice, and is as it was.
 */
export async function repairImages(
  damage: readonly ImageDamage[],
  read: Iterable<ReadFile>,
  { options, context }: { options: SourceOptions; context: Context },
): Promise<string[]> {
  const actions: string[] = []
  const { store } = context.paths
  mkdirSync(store, { recursive: true, mode: 0o700 })
  using replacements = openReplacements(store)
  const copied = copyEqualFiles(damage, read, replacements)
  replacements.commit(copied)
  if (copied.size > 0) actions.push(`Replaced ${count(copied.size, 'file')} of the store by equal ones of this host`)
  const left = damage.filter(({ fault }) => fault.expected === undefined || !copied.has(fault.expected.object))
  for (const record of new Set(left.map((one) => one.record))) {
    const faults = left.filter((one) => one.record === record).map(({ fault }) => fault)
    try {
      actions.push(...(await fetchAgain(record, faults, { options, context, replacements })))
    } catch (error) {
      if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
      context.emit({ type: 'notice', message: error.message })
    }
  }
  return actions
}

/** A damaged file, too, is read: where only its owner or the like is wrong, it is its own replacement. */
function copyEqualFiles(
  damage: readonly ImageDamage[],
  read: Iterable<ReadFile>,
  replacements: Replacements,
): Set<ObjectId> {
  const bySize = new Map<number, ReadFile[]>()
  for (const file of read) bySize.set(file.size, [...(bySize.get(file.size) ?? []), file])
  const copied = new Set<ObjectId>()
  for (const { fault } of damage) {
    const { expected } = fault
    if (expected === undefined) continue
    const source = bySize.get(expected.size)?.find((file) => isContentOf(file, expected))
    if (source !== undefined && replacements.copy(source.path, expected)) copied.add(expected.object)
  }
  return copied
}

async function fetchAgain(
  record: ImageRecord,
  faults: readonly ImageFault[],
  { options, context, replacements }: { options: SourceOptions; context: Context; replacements: Replacements },
): Promise<string[]> {
  const { store } = context.paths
  await using found = await findSameImage(record, options, context)
  const { image, source } = found
  const wanted = new Set(faults.flatMap(({ diffId }) => (diffId === undefined ? [] : [diffId])))
  const indexes = [...image.configuration.diffIds.keys()].filter((index) => {
    const diffId = image.configuration.diffIds[index]
    return diffId !== undefined && wanted.has(diffId)
  })
  const pick = <Item>(items: readonly Item[]): Item[] => items.filter((_, index) => indexes.includes(index))
  const part = {
    ...image,
    manifest: { ...image.manifest, layers: pick(image.manifest.layers) },
    configuration: { ...image.configuration, diffIds: pick(image.configuration.diffIds) },
  }
  const keep = faults.some(({ kind }) => kind === 'blob')
  const scratch = { ...context, paths: { ...context.paths, store: replacements.store } }
  using staging = openStaging(replacements.store)
  const layers = await fetchLayers(part, { source, staging, keep, context: scratch })
  staging.commit()
  const objects = await replaceObjects(layers.trees, replacements, context)
  for (const [diffId, tree] of layers.trees) {
    if (readLayerTree(store, diffId) === undefined) writeLayerTree(store, diffId, tree)
  }
  if (keep) replaceBlobs(layers.blobs, replacements, store)
  for (const { kind, name } of faults) {
    if (kind === 'manifest') writeBlob(store, image.digest, image.bytes)
    if (kind === 'configuration') writeBlob(store, name as Digest, image.configurationBytes)
  }
  const name = record.names[0] ?? record.id
  const what = layers.trees.size === 0 ? 'manifest and configuration' : count(layers.trees.size, 'layer')
  return [`Fetched ${what} of ${name} again, and replaced ${count(objects, 'file')} of the store`]
}

/** Those of the fetched layers that the store lacks, or has damaged. @returns how many. */
async function replaceObjects(
  trees: FetchedLayers['trees'],
  replacements: Replacements,
  context: Context,
): Promise<number> {
  const { store } = context.paths
  const checks = fileChecks()
  const damaged = new Set<ObjectId>()
  for (const [diffId, tree] of trees) {
    writeLayerTree(replacements.store, diffId, tree)
    for (const entry of readLayerTree(replacements.store, diffId) ?? []) {
      if (entry.kind !== 'file') continue
      const expected: ExpectedFile = entry
      checks.add(byteString(objectPath(store, entry.object)), expected, () => damaged.add(entry.object))
    }
  }
  await checks.run(hashInThreads(context))
  replacements.commit(damaged)
  return damaged.size
}

/** Only of layers whose blobs the store keeps. */
function replaceBlobs(digests: readonly Digest[], replacements: Replacements, store: string): void {
  for (const digest of digests) if (existsSync(blobPath(store, digest))) keepPartialBlob(replacements.store, digest)
  syncFileSystemOf(replacements.store)
  mkdirSync(blobsFolder(store), { recursive: true, mode: 0o700 })
  for (const digest of digests) {
    const kept = blobPath(replacements.store, digest)
    if (existsSync(kept)) renameSync(kept, blobPath(store, digest))
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
