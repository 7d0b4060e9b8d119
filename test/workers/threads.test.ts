import assert from 'node:assert/strict'
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { byteChannel } from '../../src/host/byte-channel.ts'
import { defaultLayerLimits } from '../../src/image/layer-limits.ts'
import { byteString } from '../../src/tree/entry.ts'
import { hashInThreads } from '../../src/workers/hash-in-threads.ts'
import { openThreads } from '../../src/workers/threads.ts'
import { running, scratch } from '../store/scratch.ts'

/** Threads of this process that Node made for workers. */
function workers(): number {
  const names = readdirSync('/proc/self/task').map((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8'))
  return names.filter((name) => name.startsWith('WorkerThread')).length
}

test('threads that are free, at work, or just begun are gone when they have been disposed of', async () => {
  using folder = scratch()
  const path = join(folder.path, 'file')
  writeFileSync(path, 'text')
  const file = { path: byteString(path), holes: false }
  {
    await using threads = openThreads()
    await threads.run('hashFiles', [file])
    assert.equal(workers(), 1)
    // Waits for bytes that nobody sends.
    const waiting = () => {
      const [blob, archive] = [byteChannel({ slots: 2, slotSize: 1024 }), byteChannel({ slots: 2, slotSize: 1024 })]
      return threads.run('decompressLayer', { blob, archive, layer: 'sha256:0', limits: defaultLayerLimits })
    }
    const endless = [waiting(), waiting()].map((work) => assert.rejects(work, /ended at its work/))
    await threads.run('hashFiles', [file])
    const begun = assert.rejects(threads.run('hashFiles', Array(100_000).fill(file)), /ended at its work/)
    await threads[Symbol.asyncDispose]()
    await Promise.all([...endless, begun])
    assert.equal(workers(), 0)
  }
  assert.equal(workers(), 0)
})

/** A file that takes hours to be read. */
function endlessFile(folder: string): { path: string; size: number; holes: boolean } {
  const path = join(folder, 'endless')
  const size = 8 * 1024 ** 4
  writeFileSync(path, '')
  truncateSync(path, size)
  return { path: byteString(path), size, holes: false }
}

describe('a task that has no end', () => {
  it('ends with the signal, and its thread is not used again', async () => {
    using folder = scratch()
    const threads = openThreads()
    const interrupt = new AbortController()
    const endless = threads.run('hashFiles', [endlessFile(folder.path)], interrupt.signal)
    setTimeout(() => interrupt.abort(), 50)
    await assert.rejects(endless, { code: 'interrupted' })
    assert.deepEqual(await threads.run('hashFiles', []), [])
    await threads.keep(0)
  })

  it('does not begin when the signal has been raised', async () => {
    using folder = scratch()
    const endless = openThreads().run('hashFiles', [endlessFile(folder.path)], AbortSignal.abort())
    await assert.rejects(endless, { code: 'interrupted' })
  })

  it('of verification ends with the signal, whichever rule the file is hashed by', async () => {
    using folder = scratch()
    const interrupt = new AbortController()
    const hash = hashInThreads(running(interrupt.signal))
    const file = endlessFile(folder.path)
    const [quick] = await hash([{ ...file, holes: true }])
    assert.equal(quick?.size, file.size)
    setTimeout(() => interrupt.abort(), 50)
    await assert.rejects(hash([file]), { code: 'interrupted' })
  })
})
