import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../../src/operations/context.ts'
import { openThreads } from '../../src/workers/threads.ts'

/** A folder of the test's own, removed by `using`. */
export function scratch(parent = tmpdir()): { path: string } & Disposable {
  const path = mkdtempSync(join(parent, 'forerun-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** What works in threads needs beside its work. */
export function running(signal = new AbortController().signal): Pick<Context, 'threads' | 'signal'> {
  return { threads, signal }
}

/** Of all tests of a file. */
export const threads = openThreads()
