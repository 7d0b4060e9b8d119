import { availableParallelism } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PlaceFiles } from '../store/checkout.ts'
import { type FileBatch, placeFiles } from '../store/place-files.ts'
import { sideBySide } from './side-by-side.ts'
import { openThreads } from './threads.ts'

/** Places files on all cores, of which this thread keeps one busy; a few in this thread alone. @throws ForerunError `interrupted` */
export function placeInThreads(signal: AbortSignal): PlaceFiles {
  return async (all) => {
    let next = 0
    const take = (count: number): FileBatch | undefined => {
      const files = all.files.slice(next, next + count)
      next += files.length
      return files.length === 0 ? undefined : { ...all, files }
    }
    await using threads = openThreads()
    const here = async (interrupt: AbortSignal): Promise<void> => {
      for (let batch = take(fewFiles); batch !== undefined && !interrupt.aborted; batch = take(fewFiles)) {
        placeFiles(batch)
        await nextTurn()
      }
    }
    const there = async (interrupt: AbortSignal): Promise<void> => {
      for (let batch = take(manyFiles); batch !== undefined && !interrupt.aborted; batch = take(manyFiles)) {
        await threads.run('placeFiles', batch)
      }
    }
    const others = all.files.length < threadsWorth ? 0 : availableParallelism() - 1
    const work = [here, ...Array.from({ length: others }, () => there)]
    await sideBySide(work, (part, interrupt) => part(interrupt), { width: work.length, signal })
  }
}

/** This thread's are small, so that it soon hears of signals, and of threads that want more. */
const fewFiles = 100
const manyFiles = 500

/** A thread takes as long to start as some thousand files to be placed. */
const threadsWorth = 2000
