import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { placeInThreads } from '../../src/operations/place-in-threads.ts'
import type { CheckoutOptions } from '../../src/store/checkout.ts'

/** A folder of the test's own, removed by `using`. */
export function scratch(parent = tmpdir()): { path: string } & Disposable {
  const path = mkdtempSync(join(parent, 'forerun-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** What a checkout needs beside where and how. */
export function running(signal = new AbortController().signal): Pick<CheckoutOptions, 'signal' | 'placer'> {
  return { signal, placer: (plan) => placeInThreads(plan, signal) }
}
