import { availableParallelism } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { type CheckoutOptions, checkOut, type FilePlacer } from '../store/checkout.ts'
import { type FileBatch, type FilePlan, type FileToPlace, placeFiles } from '../store/place-files.ts'
import type { DirectoryNode } from '../tree/node.ts'
import type { ThreadContext } from './threads.ts'

/** As `checkOut`, on all cores. */
export async function checkOutInThreads(
  store: string,
  tree: DirectoryNode,
  options: Omit<CheckoutOptions, 'placer' | 'signal'>,
  { threads, signal }: ThreadContext,
): Promise<void> {
  const { method, shared } = options
  await using placer = placeInThreads({ store, method, shared }, { threads, signal })
  await checkOut(store, tree, { ...options, placer, signal })
}

/**
 * Places files on all cores: threads begin as soon as there are many, and in the end this thread helps them. Few are placed
 * in this thread alone.
 */
export function placeInThreads(plan: FilePlan, { threads, signal }: ThreadContext): FilePlacer {
  const files: FileToPlace[] = []
  const fault = new AbortController()
  const interrupt = AbortSignal.any([signal, fault.signal])
  const others: Promise<void>[] = []
  let next = 0
  let isComplete = false
  let news = Promise.withResolvers<void>()
  let failure: unknown

  function tell(): void {
    news.resolve()
    news = Promise.withResolvers()
  }

  function take(count: number): FileBatch | undefined {
    const isEnough = files.length - next >= count || (isComplete && next < files.length)
    if (!isEnough || interrupt.aborted) return undefined
    next += count
    return { ...plan, files: files.slice(next - count, next) }
  }

  async function placeHere(): Promise<void> {
    for (let batch = take(fewFiles); batch !== undefined; batch = take(fewFiles)) {
      const left = placeFiles(batch, { largestCopy })
      if (left.length > 0) await threads.run('placeFiles', { ...plan, files: left }, interrupt)
      await nextTurn()
    }
  }

  async function placeThere(): Promise<void> {
    for (;;) {
      const more = news.promise
      const batch = take(manyFiles)
      if (batch !== undefined) await threads.run('placeFiles', batch, interrupt)
      else if (isComplete || interrupt.aborted) return
      else await more
    }
  }

  async function guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      failure ??= error
      fault.abort()
      tell()
    }
  }

  return {
    add(file) {
      files.push(file)
      if (files.length === threadsWorth) {
        for (let count = availableParallelism() - 1; count > 0; count--) others.push(guarded(placeThere))
      }
      if (files.length - next === manyFiles) tell()
    },
    async end() {
      isComplete = true
      tell()
      await guarded(placeHere)
      await Promise.all(others)
      if (failure !== undefined) throw failure
      if (signal.aborted) throw new ForerunError('interrupted', 'interrupted during the checkout')
    },
    async [Symbol.asyncDispose]() {
      fault.abort()
      tell()
      await Promise.all(others)
    },
  }
}

/** This thread's are small, so that it soon hears of signals, and of threads that want more. */
const fewFiles = 100
const largestCopy = 1024 * 1024
const manyFiles = 500

/** A thread takes as long to start as some thousand files to be placed. */
const threadsWorth = 1500
