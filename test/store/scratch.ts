import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../../src/operations/context.ts'
import { openThreads } from '../../src/workers/threads.ts'
import { heldFolder } from '../lab/at-end.ts'

/** A folder of the test's own, removed by `using`. */
export function scratch(parent = tmpdir()): ReturnType<typeof heldFolder> {
  return heldFolder(join(parent, 'forerun-test-'))
}

/** What works in threads needs beside its work. */
export function running(signal = new AbortController().signal): Pick<Context, 'threads' | 'signal'> {
  return { threads, signal }
}

/** Of all tests of a file. */
export const threads = openThreads()
