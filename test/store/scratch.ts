import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of the test's own, removed by `using`. */
export function scratch(parent = tmpdir()): { path: string } & Disposable {
  const path = mkdtempSync(join(parent, 'forerun-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
