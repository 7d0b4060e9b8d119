import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Comparison, compareWithTar, compareWithUmoci } from './compare-stack.ts'
import { type LayerStack, layerStack } from './layer-stack.ts'
import { memoryFolder } from './leftovers.ts'
import { openUmoci } from './umoci.ts'

/** What many stacks came to. */
export interface StackReport {
  readonly stacks: number
  readonly names: number
  readonly verdicts: Readonly<Record<Comparison['verdict'], number>>
  readonly byTar: number
  /** With the seed, what differs, and the smallest stack that differs. */
  readonly failures: readonly string[]
}

/**
 * Compares the stacks of some seeds with the references; every tenth is a single layer for GNU tar, and every twentieth
 * is pulled from a layout. What differs is made as small as leaving out layers and entries makes it.
 */
export async function compareStacks(
  seeds: { from: number; count: number; step?: number },
  { progress = () => {}, mostFailures = 5 }: { progress?: (report: StackReport) => void; mostFailures?: number } = {},
): Promise<StackReport> {
  using place = memoryFolder('stacks')
  const folder = place.path
  await using umoci = openUmoci()
  const verdicts = { equal: 0, 'both refuse': 0, reordered: 0, different: 0 }
  const failures: string[] = []
  let names = 0
  let stacks = 0
  let byTar = 0
  const { from, count, step = 1 } = seeds
  for (let seed = from; stacks < count && failures.length < mostFailures; seed += step) {
    // Objects of earlier stacks in the store are part of the trial, but not without end.
    if (stacks % 500 === 499) rmSync(join(folder, 'store'), { recursive: true, force: true })
    const isForTar = seed % 10 === 0
    const pulled = seed % 40 <= 1
    const stack = layerStack(seed, { single: isForTar })
    const compared = (given: LayerStack) =>
      (isForTar ? compareWithTar : compareWithUmoci)(given, { folder, umoci, pulled })
    const result = await compared(stack)
    stacks += 1
    byTar += isForTar ? 1 : 0
    names += result.names
    verdicts[result.verdict] += 1
    if (result.verdict === 'different') {
      failures.push(`seed ${seed}:\n${await explained(stack, compared)}`)
    }
    progress({ stacks, names, verdicts, byTar, failures })
  }
  return { stacks, names, verdicts, byTar, failures }
}

async function explained(stack: LayerStack, compared: (stack: LayerStack) => Promise<Comparison>): Promise<string> {
  const smallest = await shrunk(stack, async (given) => (await compared(given)).verdict === 'different')
  const { differences } = await compared(smallest)
  const layers = smallest.layers.flatMap(({ files }, index) => files.map((file) => `layer ${index}: ${shown(file)}`))
  return [...differences, ...layers].map((line) => `  ${shortened(line)}`).join('\n')
}

function shortened(line: string): string {
  return line.length < 1000 ? line : `${line.slice(0, 500)} … ${line.slice(-400)}`
}

function shown(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part?.type === 'Buffer' ? `${part.data.length} bytes` : part))
}

/** Leaves out what can be left out. */
async function shrunk(stack: LayerStack, differs: (stack: LayerStack) => Promise<boolean>): Promise<LayerStack> {
  let smallest = stack
  for (let changed = true; changed; ) {
    changed = false
    for (const smaller of smallerStacks(smallest)) {
      if (!(await differs(smaller))) continue
      smallest = smaller
      changed = true
      break
    }
  }
  return smallest
}

function smallerStacks({ layers }: LayerStack): LayerStack[] {
  const withoutLayer = layers.length < 2 ? [] : layers.map((_, index) => ({ layers: layers.toSpliced(index, 1) }))
  const withoutFile = layers.flatMap((layer, index) =>
    layer.files.map((_, file) => ({
      layers: layers.with(index, { ...layer, files: layer.files.toSpliced(file, 1) }),
    })),
  )
  return [...withoutLayer, ...withoutFile]
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      from: { type: 'string', default: '1' },
      count: { type: 'string', default: '10000' },
      step: { type: 'string', default: '1' },
    },
  })
  const [from, count, step] = [Number(values.from), Number(values.count), Number(values.step)]
  const begun = performance.now()
  const report = await compareStacks(
    { from, count, step },
    { progress: (report) => report.stacks % 500 === 0 && process.stderr.write(`${JSON.stringify(report)}\n`) },
  )
  const seconds = (performance.now() - begun) / 1000
  const { failures, ...figures } = report
  process.stdout.write(`${JSON.stringify({ from, ...figures, seconds: Math.round(seconds) })}\n`)
  for (const failure of failures) process.stdout.write(`${failure}\n`)
  process.exitCode = failures.length === 0 ? 0 : 1
}
