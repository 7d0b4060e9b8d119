import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ContainersPlace } from '../../../src/source/registry/config/containers-folders.ts'

export interface TestTree extends Disposable {
  readonly root: string
  /** Root with this tree and no environment but its `HOME`, `/root` in the tree. */
  readonly place: ContainersPlace & { environment: Record<string, string> }
  /** Where a file of the tree really is. */
  path(file: string): string
}

/** A tree with these files, by their path in it, for the length of a test. */
export function treeOf(files: Record<string, string>): TestTree {
  const root = mkdtempSync(join(tmpdir(), 'forerun-tree-'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  return {
    root,
    place: { root, uid: 0, environment: { HOME: join(root, 'root') } },
    path: (file) => join(root, file),
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  }
}
