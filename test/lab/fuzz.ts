import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type FuzzReport, fuzzLayers } from './fuzz-layers.ts'
import { memoryFolder } from './leftovers.ts'

/** Seconds that one case may take, on a busy machine. */
const patience = 60

/** As `fuzzLayers`, in a thread of its own that is watched: a case without end is a failure, named by its seed. */
export async function watchedFuzz(
  seeds: { from: number; count: number },
  { writeEvery = 50 }: { writeEvery?: number } = {},
): Promise<FuzzReport> {
  using place = memoryFolder('fuzz')
  const state = new BigInt64Array(new SharedArrayBuffer(8))
  const worker = new Worker(new URL(import.meta.url), { workerData: { seeds, state, folder: place.path, writeEvery } })
  let seen = -1n
  let since = performance.now()
  const hanging = new Promise<never>((_, reject) => {
    const timer = setInterval(() => {
      const current = Atomics.load(state, 0)
      if (current !== seen) since = performance.now()
      seen = current
      if (performance.now() - since > patience * 1000)
        reject(new Error(`seed ${current} takes longer than ${patience} s`))
    }, 1000)
    worker.once('exit', () => clearInterval(timer))
  })
  const finished = new Promise<FuzzReport>((resolve, reject) => worker.once('message', resolve).once('error', reject))
  try {
    return await Promise.race([finished, hanging])
  } finally {
    await worker.terminate()
  }
}

interface WorkerData {
  readonly seeds: { from: number; count: number }
  /** The seed of the case that runs. */
  readonly state: BigInt64Array
  readonly folder: string
  readonly writeEvery: number
}

if (!isMainThread && workerData?.seeds !== undefined) {
  const { seeds, state, folder, writeEvery } = workerData as WorkerData
  const onCase = (seed: number) => void Atomics.store(state, 0, BigInt(seed))
  const progress = (report: FuzzReport) => void process.stderr.write(`${JSON.stringify(report)}\n`)
  parentPort?.postMessage(await fuzzLayers(seeds, { folder, onCase, progress, writeEvery }))
} else if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      from: { type: 'string', default: '1' },
      count: { type: 'string', default: '1000000' },
      'write-every': { type: 'string', default: '200' },
    },
  })
  const begun = performance.now()
  const { failures, ...figures } = await watchedFuzz(
    { from: Number(values.from), count: Number(values.count) },
    { writeEvery: Number(values['write-every']) },
  )
  const seconds = Math.round((performance.now() - begun) / 1000)
  process.stdout.write(`${JSON.stringify({ from: Number(values.from), ...figures, seconds })}\n`)
  for (const failure of failures) process.stdout.write(`${failure}\n`)
  process.exitCode = failures.length === 0 ? 0 : 1
}
