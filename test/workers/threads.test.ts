import assert from 'node:assert/strict'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { byteString } from '../../src/tree/entry.ts'
import { hashInThreads } from '../../src/workers/hash-in-threads.ts'
import { openThreads } from '../../src/workers/threads.ts'
import { running, scratch } from '../store/scratch.ts'

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
