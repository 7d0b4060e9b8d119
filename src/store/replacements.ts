import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { syncFileSystemOf } from '../host/durable-file.ts'
import { copyFileWithHoles } from '../host/sparse-file.ts'
import { type ByteString, byteString } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'
import { type ExpectedFile, isContentOf } from './file-checks.ts'
import { hashFile } from './hash-file.ts'
import { applyMetadata, filePath } from './metadata.ts'
import { isHashedWithHoles, objectPath } from './object.ts'
import { stagingPrefix } from './staging.ts'

/** A store of its own inside the store, for objects that are to take the place of damaged ones. Disposing removes it. */
export interface Replacements extends Disposable {
  readonly store: string
  /** Copies a file that has the right content. @returns whether it has. */
  copy(source: ByteString, expected: ExpectedFile): boolean
  has(id: ObjectId): boolean
  /** Puts objects in their places in the store, durably: each name is at every moment the old inode or the new one. */
  commit(ids: Iterable<ObjectId>): void
}

/** The store must be locked. */
export function openReplacements(store: string): Replacements {
  const scratch = mkdtempSync(join(store, stagingPrefix))
  const place = (id: ObjectId): string => {
    const path = objectPath(scratch, id)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return path
  }
  return {
    store: scratch,
    copy(source, expected) {
      const path = place(expected.object)
      rmSync(path, { force: true })
      copyFileWithHoles(filePath(source), path, { clone: true })
      const file = { path: byteString(path), holes: isHashedWithHoles(expected.object) }
      if (isContentOf(hashFile(file), expected)) {
        applyMetadata(byteString(path), expected.metadata, { symlink: false })
        return true
      }
      rmSync(path)
      return false
    },
    has: (id) => existsSync(objectPath(scratch, id)),
    commit(ids) {
      syncFileSystemOf(scratch)
      for (const id of ids) {
        const path = objectPath(store, id)
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
        renameSync(objectPath(scratch, id), path)
      }
    },
    [Symbol.dispose]: () => rmSync(scratch, { recursive: true, force: true }),
  }
}
