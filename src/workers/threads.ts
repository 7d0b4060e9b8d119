import { Worker } from 'node:worker_threads'
import { interruption } from '../host/event-loop.ts'
import { decodeFailure } from '../host/thread-failure.ts'
import type { ThreadAnswer } from './thread.ts'
import type { ThreadTasks } from './thread-tasks.ts'

/** Threads for work that would hold the event loop. One that is free waits for more, and does not keep the process alive. */
export interface Threads {
  /**
   * Begins at once, in a thread that is free or a new one. Raising the signal ends the thread, wherever the task is.
   *
   * @throws what the task throws; ForerunError `interrupted`, when the thread has ended.
   */
  run<Name extends keyof ThreadTasks>(
    task: Name,
    work: Parameters<ThreadTasks[Name]>[0],
    signal?: AbortSignal,
  ): Promise<ReturnType<ThreadTasks[Name]>>
  /** Ends those that are free, but for so many: what they have allocated is given back. */
  keep(count: number): Promise<void>
  /**
   * Ends all, those at work too, and waits until they are gone: a process with threads that run does not end by itself.
   */
  [Symbol.asyncDispose](): Promise<void>
}

/** What work in threads needs of a command. */
export interface ThreadContext {
  readonly threads: Threads
  /** Raised by Ctrl-C and its kin. */
  readonly signal: AbortSignal
}

export function openThreads(): Threads {
  const free: Worker[] = []
  const all = new Set<Worker>()
  const start = (): Worker => {
    const worker = startThread()
    all.add(worker)
    worker.once('exit', () => all.delete(worker))
    return worker
  }
  return {
    async run(task, work, signal) {
      if (signal?.aborted) throw interruption(signal)
      const worker = free.pop() ?? start()
      worker.ref()
      worker.postMessage({ task, work })
      const answer = await answerOf(worker, signal)
      worker.unref()
      free.push(worker)
      if ('failure' in answer) throw decodeFailure(answer.failure)
      return answer.result as never
    },
    async keep(count) {
      await Promise.all(free.splice(count).map((worker) => worker.terminate()))
      // Loaded here, since every command has threads, and most use none.
      const { trimMemory } = await import('../host/system-calls.ts')
      trimMemory()
    },
    async [Symbol.asyncDispose]() {
      free.length = 0
      await Promise.all([...all].map((worker) => worker.terminate()))
    },
  }
}

function answerOf(worker: Worker, signal: AbortSignal | undefined): Promise<ThreadAnswer> {
  return new Promise((resolve, reject) => {
    const end = (): void => void worker.terminate()
    const leave = (act: () => void) => (): void => {
      for (const [name, listener] of Object.entries(listeners)) worker.off(name, listener)
      signal?.removeEventListener('abort', end)
      act()
    }
    const listeners = {
      // An answer that comes while the thread is being ended is too late: others must not get this thread.
      message: (answer: ThreadAnswer) => signal?.aborted || leave(() => resolve(answer))(),
      // An error that no task throws, such as memory that has run out, ends the thread and is thrown here.
      error: (error: unknown) => leave(() => reject(error))(),
      exit: leave(() => reject(signal?.aborted ? interruption(signal) : new Error('a thread was ended at its work'))),
    }
    for (const [name, listener] of Object.entries(listeners)) worker.on(name, listener)
    signal?.addEventListener('abort', end)
  })
}

function startThread(): Worker {
  return new Worker(threadFile, { resourceLimits: { maxYoungGenerationSizeMb: youngGeneration } })
}

/** Megabytes: what tasks leave behind is short-lived and little, and V8 would else let it grow to six times as much. */
const youngGeneration = 3

/** The same place in the sources and in the bundle. */
const threadFile = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.cjs', import.meta.url)
