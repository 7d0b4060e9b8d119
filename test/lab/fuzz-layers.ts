import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ForerunError } from '../../src/errors.ts'
import { defaultLayerLimits, type LayerLimits } from '../../src/image/layer-limits.ts'
import { readLayer } from '../../src/layer/read-layer.ts'
import type { LayerEntry, LayerReceiver } from '../../src/tree/entry.ts'
import { assembleImage, writeLayout } from './image.ts'
import type { Layer } from './layer.ts'
import { layerStack } from './layer-stack.ts'
import { type MutatedLayer, mutateLayer } from './mutate-layer.ts'
import { execute } from './process.ts'
import { type Random, random } from './random.ts'
import { encodeArchive } from './tar-encoder.ts'
import { readTree, treeDifferences } from './tree-difference.ts'
import { unpackImage, unpackLayers } from './unpack-image.ts'

export interface FuzzReport {
  readonly cases: number
  /** Of these, how many were written and checked out, too. */
  readonly written: number
  /** By what came of it: `read`, or the code of the error. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Milliseconds of this thread's processor for the longest case: the machine may be busy. */
  readonly slowest: number
  /** MiB after a tenth of the cases and at the end; of the heap with its buffers, once garbage has been collected. */
  readonly rss: readonly [number, number]
  readonly heap: readonly [number, number]
  /** With their seeds. */
  readonly failures: readonly string[]
}

/** Small, so that a case is over soon whatever its headers say. */
const limits: LayerLimits = {
  ...defaultLayerLimits,
  fileSize: 8 * 1024 ** 2,
  layerSize: 16 * 1024 ** 2,
  entries: 10_000,
}

/**
 * Reads layers that were changed by chance. Nothing but a ForerunError may come of it, no entry may leave the rules of
 * `tree/entry.ts`, and nothing may change beside the place where it is written.
 *
 * @param options.folder for what is written: in memory, empty, and removed by the caller.
 * @param options.writeEvery of so many cases one is unpacked over a whole layer, and checked out.
 * @param options.onCase told the seed before each case, for whoever watches that it ends.
 * @param options.progress told with every 10,000 cases what has come of them.
 */
export async function fuzzLayers(
  seeds: { from: number; count: number },
  {
    folder,
    writeEvery,
    onCase,
    progress,
  }: {
    folder: string
    writeEvery: number
    onCase: (seed: number) => void
    progress: (report: FuzzReport) => void
  },
): Promise<FuzzReport> {
  const originals = await originalArchives()
  const base = originals[0] ?? Buffer.alloc(0)
  const canary = await plantCanary(folder)
  const before = readTree(canary)
  const outcomes: Record<string, number> = {}
  const failures: string[] = []
  const memory: [rss: number, heap: number][] = []
  let written = 0
  let slowest = 0
  const report = (cases: number): FuzzReport => {
    const [[rss, heap] = megabytesInUse(), [endRss, endHeap] = megabytesInUse()] = memory
    return {
      cases,
      written,
      outcomes,
      slowest: Math.round(slowest),
      rss: [rss, endRss],
      heap: [heap, endHeap],
      failures,
    }
  }
  for (let index = 0; index < seeds.count && failures.length < 10; index++) {
    const seed = seeds.from + index
    onCase(seed)
    const chance = random(seed)
    const layer = mutateLayer(chance, chance.pick(originals))
    const begun = process.threadCpuUsage()
    const isWritten = seed % writeEvery === 0
    const outcome = await outcomeOf(async () => {
      await readInMemory(chance, layer)
      if (isWritten) await write(layer, { base, folder, pulled: written % 20 === 0 })
    })
    const { user, system } = process.threadCpuUsage(begun)
    slowest = Math.max(slowest, (user + system) / 1000)
    if (isWritten) written += 1
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    if (outcome.includes(' ')) failures.push(`seed ${seed}: ${outcome}`)
    if (isWritten && (written % 50 === 0 || index > seeds.count - writeEvery)) {
      const changes = treeDifferences(readTree(canary), before)
      if (changes.length > 0) failures.push(`up to seed ${seed}: changed outside the root: ${changes.join('; ')}`)
    }
    if (index % 1000 === 999 || index === seeds.count - 1) await collectGarbage()
    if (index % 10_000 === 9999) progress(report(index + 1))
    if (index === Math.floor(seeds.count / 10 / 1000) * 1000 + 999 || index === seeds.count - 1)
      memory.push(megabytesInUse())
  }
  return report(seeds.count)
}

/** Archives of stacks by chance, and of a folder of this machine by GNU tar in its formats; all of some kilobytes. */
async function originalArchives(): Promise<Buffer[]> {
  const stacks = Array.from({ length: 40 }, (_, seed) => layerStack(seed + 1))
  const generated = stacks.flatMap(({ layers }) => layers.map((layer) => encodeArchive(layer.files, layer)))
  const formats = [
    ['--format=gnu', '--sparse'],
    ['--format=posix', '--sparse'],
    ['--format=oldgnu'],
    ['--format=ustar'],
    ['--format=v7'],
  ]
  const packed: Buffer[] = []
  for (const format of formats) {
    const file = join('/dev/shm', `forerun-fuzz-${process.pid}.tar`)
    await execute(['tar', ...format, '-cf', file, '-C', '/etc', 'alternatives', 'default', 'pam.d'])
    packed.push(readFileSync(file).subarray(0, 60_000))
    rmSync(file)
  }
  return [...generated.filter((archive) => archive.length < 60_000), ...packed]
}

/** What an escape would find: the names of `mutate-layer.ts`, beside and above the root that is written. */
async function plantCanary(folder: string): Promise<string> {
  const canary = join(folder, 'canary')
  mkdirSync(canary)
  for (const name of ['file', 'passwd', 'x']) writeFileSync(join(canary, name), 'as it was')
  symlinkSync('/etc/passwd', join(canary, 'link'))
  return canary
}

async function outcomeOf(act: () => Promise<void>): Promise<string> {
  try {
    await act()
    return 'read'
  } catch (error) {
    if (error instanceof ForerunError) return error.code
    return `a crash: ${error instanceof Error ? error.stack : String(error)}`
  }
}

async function readInMemory(chance: Random, { blob, archive }: MutatedLayer): Promise<void> {
  const piece = chance.pick([blob.length, 512, 4096, 700, 65_536])
  const identity = { descriptor: { digest: sha256(blob), size: blob.length }, diffId: sha256(archive) }
  await readLayer(pieces(blob, piece), identity, { receiver: strictReceiver(), limits })
}

/** Over a whole layer, so that its links and whiteouts find something; now and then by a pull with its threads. */
async function write(
  { blob, archive }: MutatedLayer,
  { base, folder, pulled }: { base: Buffer; folder: string; pulled: boolean },
): Promise<void> {
  const layout = join(folder, 'layout')
  const target = join(folder, 'root')
  const changed: Layer = { compression: 'none', diffId: sha256(archive), bytes: blob }
  const whole: Layer = { compression: 'none', diffId: sha256(base), bytes: base }
  try {
    if (pulled) {
      await writeLayout(assembleImage([whole, changed]), layout, { tag: '1' })
      await unpackImage(`oci:${layout}:1`, target, { folder, limits, method: 'hardlink' })
    } else await unpackLayers([whole, changed], target, { folder, limits, method: 'hardlink' })
  } finally {
    for (const path of [layout, target, join(folder, 'store')]) rmSync(path, { recursive: true, force: true })
  }
}

/** Holds every entry against what `tree/entry.ts` promises. */
function strictReceiver(): LayerReceiver {
  let open: { size: number; length: number } | undefined
  const grow = (length: number) => {
    if (open === undefined || length < 0) throw new Error('content without a file')
    open.length += length
    if (open.length > open.size) throw new Error('more content than the size says')
  }
  return {
    entry(entry) {
      if (open !== undefined) throw new Error('an entry within a file')
      checkEntry(entry)
      if (entry.kind === 'file') open = { size: entry.size, length: 0 }
    },
    content: (bytes) => grow(bytes.length),
    hole: grow,
    endFile() {
      if (open?.length !== open?.size) throw new Error('less content than the size says')
      open = undefined
    },
  }
}

function checkEntry(entry: LayerEntry): void {
  const { mode, uid, gid, mtime, xattrs } = entry.metadata
  const wholes = [mode, uid, gid, mtime.seconds, mtime.nanoseconds]
  if (!wholes.every(Number.isSafeInteger)) throw new Error('a number that is none')
  if (mode < 0 || mode > 0o7777 || uid < 0 || uid >= 2 ** 32 - 1 || gid < 0 || gid >= 2 ** 32 - 1) {
    throw new Error('a mode or an owner that cannot be')
  }
  if (mtime.nanoseconds < 0 || mtime.nanoseconds > 999_999_999) throw new Error('a time that cannot be')
  checkPath(entry.path)
  if (entry.kind === 'hardlink') checkPath(entry.target)
  if ((entry.kind === 'symlink' || entry.kind === 'hardlink') && /^$|\0/.test(entry.target))
    throw new Error('a bad target')
  for (const name of xattrs.keys()) if (name === '' || name.includes('\0')) throw new Error('a bad attribute')
}

function checkPath(path: string): void {
  if (path === '') return
  const isRight = (part: string) => part !== '' && part !== '.' && part !== '..' && part.length <= 255
  if (!path.split('/').every(isRight) || path.includes('\0'))
    throw new Error(`a path that is not clean: ${JSON.stringify(path)}`)
}

function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function sha256(bytes: Buffer): `sha256:${string}` {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Buffers wait for a collection that this much memory does not bring about soon: what is left then has been kept. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  for (let round = 0; round < 3; round++) {
    collect()
    await nextTurn()
  }
}

function megabytesInUse(): [rss: number, heap: number] {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  return [Math.round(rss / 1024 ** 2), Math.round((heapUsed + arrayBuffers) / 1024 ** 2)]
}
