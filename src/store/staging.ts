import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { syncFileSystem } from '../host/system-calls.ts'
import type { ObjectId } from '../tree/node.ts'
import { objectPath, objectsFolder } from './object.ts'

/**
 * A place in the store where objects wait until everything that they belong to has been verified. What is not
 * committed is removed when the staging is disposed of, or, after a kill, by the next `removeStaging`.
 */
export interface Staging extends Disposable {
  readonly folder: string
  /** Whether the object is in the store, or waits here. */
  has(id: ObjectId): boolean
  /** Says that `folder` now holds the object, complete, under its name. */
  add(id: ObjectId): void
  /**
   * Moves all objects into the store: first their bytes are made durable by one syncfs(2), so that no object is ever
   * seen under its name with less than its content.
   */
  commit(): void
}

/** The store must be locked. */
export function openStaging(store: string): Staging {
  mkdirSync(store, { recursive: true, mode: 0o700 })
  const folder = mkdtempSync(join(store, prefix))
  const waiting = new Set<ObjectId>()
  return {
    folder,
    has: (id) => waiting.has(id) || existsSync(objectPath(store, id)),
    add: (id) => waiting.add(id),
    commit() {
      syncFolder(folder)
      makeObjectFolders(store)
      for (const id of waiting) renameSync(join(folder, id), objectPath(store, id))
      waiting.clear()
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Removes what a killed command left waiting. The store must be locked. */
export function removeStaging(store: string): void {
  if (!existsSync(store)) return
  for (const name of readdirSync(store)) {
    if (name.startsWith(prefix)) rmSync(join(store, name), { recursive: true, force: true })
  }
}

const prefix = '.staging-'

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    syncFileSystem(fd)
  } finally {
    closeSync(fd)
  }
}

function makeObjectFolders(store: string): void {
  if (existsSync(join(objectsFolder(store), 'ff'))) return
  for (let index = 0; index < 256; index++) {
    mkdirSync(join(objectsFolder(store), index.toString(16).padStart(2, '0')), { recursive: true, mode: 0o700 })
  }
}
