import { parentPort } from 'node:worker_threads'
import { encodeFailure, type ThreadFailure } from '../host/thread-failure.ts'
import { type ThreadTasks, threadTasks } from './thread-tasks.ts'

/** Where a thread of `openThreads` begins. */
export interface ThreadRequest {
  readonly task: keyof ThreadTasks
  readonly work: never
}

export type ThreadAnswer = { readonly result: unknown } | { readonly failure: ThreadFailure }

parentPort?.on('message', ({ task, work }: ThreadRequest) => parentPort?.postMessage(answer(task, work)))

function answer(task: keyof ThreadTasks, work: never): ThreadAnswer {
  try {
    return { result: threadTasks[task](work) }
  } catch (error) {
    return { failure: encodeFailure(error) }
  }
}
