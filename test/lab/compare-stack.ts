import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { ForerunError } from '../../src/errors.ts'
import { assembleImage, writeLayout } from './image.ts'
import { type Layer, sha256 } from './layer.ts'
import { isWhiteout, type LayerStack, type StackLayer } from './layer-stack.ts'
import { execute } from './process.ts'
import { encodeArchive, type TarFile } from './tar-encoder.ts'
import { readTree, type TreeName, treeDifferences, type WholeTree } from './tree-difference.ts'
import type { Umoci } from './umoci.ts'
import { unpackImage, unpackLayers } from './unpack-image.ts'

/** What came of unpacking a stack with forerun and with a reference. */
export interface Comparison {
  /** `both refuse`: the stack is no image to either. `reordered`: see `compareWithUmoci`. */
  readonly verdict: 'equal' | 'both refuse' | 'reordered' | 'different'
  readonly differences: readonly string[]
  /** Names in the tree. */
  readonly names: number
}

/**
 * Unpacks a stack into a store and by a checkout, and by `umoci raw unpack`. What is known of umoci 0.4.7, and is no
 * difference:
 *
 * - It reads neither zstd nor PAX global headers nor GNU's older sparse files. It gets plain archives without them, whose
 *   members have it all.
 * - Where it makes a missing parent, the folder that holds it, and the made one, keep the time of unpacking; and the made
 *   one is of the group of a setgid folder.
 * - A whiteout after entries of its own layer that are in its way has another effect than before them, while the
 *   specification has whiteouts apply to lower layers only. When that differs, it gets the whiteouts first (`reordered`);
 *   forerun still the order as it was.
 *
 * @param options.folder a scratch folder on a file system with all attributes; its store is used again by the next comparison.
 * @param options.pulled whether the image is pulled from a layout, threads and all.
 */
export async function compareWithUmoci(
  stack: LayerStack,
  { folder, umoci, pulled = false }: { folder: string; umoci: Umoci; pulled?: boolean },
): Promise<Comparison> {
  const started = BigInt(Date.now()) * 1_000_000n
  const [ours, theirs] = await Promise.all([
    unpackedByForerun(stack, { folder, pulled }),
    unpackedByUmoci(
      stack.layers.map(({ files }) => files),
      { folder, umoci },
    ),
  ])
  const first = compare(ours, theirs, { started })
  if (first.verdict !== 'different') return first
  const whiteoutsFirst = stack.layers.map(({ files }) => [
    ...files.filter(isWhiteout),
    ...files.filter((file) => !isWhiteout(file)),
  ])
  const second = compare(ours, await unpackedByUmoci(whiteoutsFirst, { folder, umoci }), { started })
  return second.verdict === 'different' ? first : { ...second, verdict: 'reordered' }
}

/** As `compareWithUmoci` for a single layer without whiteouts, by GNU tar, which knows global headers and any time. */
export async function compareWithTar(
  stack: LayerStack,
  { folder, pulled = false }: { folder: string; pulled?: boolean },
): Promise<Comparison> {
  const [layer] = stack.layers
  if (layer === undefined || stack.layers.length > 1) throw new Error('GNU tar unpacks one layer')
  const ours = await unpackedByForerun(stack, { folder, pulled })
  const target = emptied(join(folder, 'reference'))
  mkdirSync(target)
  const words = ['--xattrs', '--xattrs-include=*', '--same-owner', '--numeric-owner', '-p', '-C', target, '-xf', '-']
  const input = encodeArchive(layer.files, layer)
  const { status, stderr } = await execute(['tar', ...words], { input, check: false })
  // The folder itself was made here.
  const theirs = status === 0 ? readTree(target) : stderr
  return compare(ours, theirs, { started: BigInt(Date.now() - 60_000) * 1_000_000n })
}

/** The layer as forerun gets it. */
export function wildLayer({ files, blocks, compression }: StackLayer): Layer {
  const archive = encodeArchive(files, { blocks })
  const diffId = sha256(archive)
  const half = Math.floor(archive.length / 2)
  const [head, tail] = [archive.subarray(0, half), archive.subarray(half)]
  const gzip = (bytes: Buffer) => gzipSync(bytes, { level: 1 })
  switch (compression) {
    case 'none':
      return { compression, diffId, bytes: archive }
    case 'gzip':
      return { compression, diffId, bytes: gzip(archive) }
    case 'gzip-members':
      return { compression: 'gzip', diffId, bytes: Buffer.concat([gzip(head), gzip(Buffer.alloc(0)), gzip(tail)]) }
    case 'gzip-zeros':
      return { compression: 'gzip', diffId, bytes: Buffer.concat([gzip(archive), Buffer.alloc(700)]) }
    case 'zstd':
      return { compression, diffId, bytes: zstdCompressSync(archive) }
    case 'zstd-frames': {
      const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
      const frames = [skippable, zstdCompressSync(head, checked), skippable, zstdCompressSync(tail), skippable]
      return { compression: 'zstd', diffId, bytes: Buffer.concat(frames) }
    }
  }
}

const skippable = Buffer.from('532a4d180500000068656c6c6f', 'hex')

/** The tree, or why there is none. */
type Unpacked = WholeTree | string

async function unpackedByForerun(
  stack: LayerStack,
  { folder, pulled }: { folder: string; pulled: boolean },
): Promise<Unpacked> {
  const layers = stack.layers.map(wildLayer)
  const layout = emptied(join(folder, 'ours-layout'))
  const target = emptied(join(folder, 'ours'))
  if (pulled) await writeLayout(assembleImage(layers), layout, { tag: '1' })
  try {
    if (pulled) await unpackImage(`oci:${layout}:1`, target, { folder, method: 'hardlink' })
    else await unpackLayers(layers, target, { folder, method: 'hardlink' })
  } catch (error) {
    if (error instanceof ForerunError) return error.message
    throw error
  }
  return readTree(target)
}

async function unpackedByUmoci(
  layers: readonly (readonly TarFile[])[],
  { folder, umoci }: { folder: string; umoci: Umoci },
): Promise<Unpacked> {
  const layout = emptied(join(folder, 'reference-layout'))
  const plain = layers.map((files): Layer => {
    const bytes = encodeArchive(files.map(withKnownSparse), { globals: false })
    return { compression: 'none', diffId: sha256(bytes), bytes }
  })
  await writeLayout(assembleImage(plain), layout, { tag: '1' })
  const target = emptied(join(folder, 'reference'))
  const complaint = await umoci.unpack(`${layout}:1`, target)
  return complaint ?? readTree(target)
}

function withKnownSparse(file: TarFile): TarFile {
  return file.sparse === 'gnu' ? { ...file, sparse: '1.0' } : file
}

function compare(ours: Unpacked, theirs: Unpacked, { started }: { started: bigint }): Comparison {
  if (typeof ours === 'string' && typeof theirs === 'string')
    return { verdict: 'both refuse', differences: [ours, theirs], names: 0 }
  if (typeof ours === 'string')
    return { verdict: 'different', differences: [`forerun alone refuses: ${ours}`], names: 0 }
  if (typeof theirs === 'string')
    return { verdict: 'different', differences: [`the reference alone refuses: ${theirs}`], names: 0 }
  const ended = BigInt(Date.now() + 1) * 1_000_000n
  const isPresent = (mtime: bigint) => mtime >= started && mtime <= ended
  const timed = new Map<string, TreeName>(theirs)
  for (const [path, name] of theirs) {
    const own = ours.get(path)
    // No layer has the present time, so forerun must not have it either.
    if (own === undefined || name.type !== 'directory' || !isPresent(name.mtime) || isPresent(own.mtime)) continue
    const isMade = own.mode === '755' && own.owner === '0:0' && own.mtime === 0n && name.mode === '2755'
    timed.set(path, { ...name, mtime: own.mtime, ...(isMade && { mode: own.mode, owner: own.owner }) })
  }
  const differences = treeDifferences(ours, timed)
  return { verdict: differences.length === 0 ? 'equal' : 'different', differences, names: ours.size }
}

/** A path where nothing lies. */
function emptied(path: string): string {
  rmSync(path, { recursive: true, force: true })
  return path
}
