import { parentPort } from 'node:worker_threads'
import { encodeFailure, type ThreadFailure } from '../host/thread-failure.ts'
import { type ThreadTasks, threadTasks } from './thread-tasks.ts'

/** Where a thread of `openThreads` begins. */
export interface ThreadRequest {
  readonly task: keyof ThreadTasks
  readonly work: never
}

export type ThreadAnswer = { readonly result: unknown } | { readonly failure: ThreadFailure }

parentPort?.on('message', ({ task, work }: ThreadRequest) => {
  const message = answer(task, work)
  parentPort?.postMessage(message, 'result' in message ? buffersOf(message.result) : [])
})

function answer(task: keyof ThreadTasks, work: never): ThreadAnswer {
  try {
    return { result: threadTasks[task](work) }
  } catch (error) {
    return { failure: encodeFailure(error) }
  }
}

/** Of a task's result: handed over, not copied. */
function buffersOf(result: unknown): ArrayBuffer[] {
  if (typeof result !== 'object' || result === null) return []
  if (ArrayBuffer.isView(result)) return result.buffer instanceof ArrayBuffer ? [result.buffer] : []
  return Object.values(result).flatMap(buffersOf)
}
