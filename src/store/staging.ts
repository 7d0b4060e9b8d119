import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beginSync, syncFileSystemOf } from '../host/durable-file.ts'
import { byteString } from '../tree/entry.ts'
import { handDownNothing } from './metadata.ts'
import { objectsFolder } from './object.ts'

/**
 * A place in the store where objects wait until everything that they belong to has been verified. What is not
 * committed is removed when the staging is disposed of, or, after a kill, by the next `removeStaging`.
 */
export interface Staging extends Disposable {
  /** Makes a folder for the writers of one layer, which may work in other threads. */
  openFolder(): string
  /** Forgets a folder whose layer could not be read to its end. No writer may work in it any more. */
  discard(folder: string): void
  /** Makes their bytes durable while signals are heard; for many bytes, before `commit`. @throws as `beginSync` */
  flush(signal: AbortSignal): Promise<void>
  /**
   * Moves all objects into the store: first their bytes are made durable by one syncfs(2), so that no object is ever
   * seen under its name with less than its content. No writer may work any more.
   */
  commit(): void
}

/** The store must be locked. */
export function openStaging(store: string): Staging {
  mkdirSync(store, { recursive: true, mode: 0o700 })
  const place = mkdtempSync(join(store, stagingPrefix))
  let folders: string[] = []
  let opened = 0
  return {
    openFolder() {
      const folder = join(place, String(opened++))
      mkdirSync(folder, { mode: 0o700 })
      handDownNothing(byteString(folder))
      folders.push(folder)
      return folder
    },
    discard(folder) {
      folders = folders.filter((other) => other !== folder)
      rmSync(folder, { recursive: true, force: true })
    },
    flush: (signal) => beginSync(place, { signal }),
    commit() {
      syncFileSystemOf(place)
      mkdirSync(objectsFolder(store), { recursive: true, mode: 0o700 })
      // What the store has no folder for is moved whole: of several layers' that of the largest, as near as a folder's size tells.
      const inTurn = folders
        .flatMap((folder) => readdirSync(folder).map((name) => ({ folder, name })))
        .map((part) => ({ ...part, size: statSync(`${part.folder}/${part.name}`).size }))
        .sort((a, b) => b.size - a.size)
      for (const { folder, name } of inTurn) moveInto(`${objectsFolder(store)}/${name}`, `${folder}/${name}`)
      folders = []
    },
    [Symbol.dispose]: () => rmSync(place, { recursive: true, force: true }),
  }
}

/** Removes what a killed command left waiting. The store must be locked. */
export function removeStaging(store: string): void {
  if (!existsSync(store)) return
  for (const name of readdirSync(store)) {
    if (name.startsWith(stagingPrefix)) rmSync(join(store, name), { recursive: true, force: true })
  }
}

/** Of folders of the store that a killed command may have left. */
export const stagingPrefix = '.staging-'

/** A folder that the store has not is moved whole. Two layers may bring the same object: the later one takes its place. */
function moveInto(place: string, folder: string): void {
  try {
    renameSync(folder, place)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
    for (const name of readdirSync(folder)) renameSync(`${folder}/${name}`, `${place}/${name}`)
  }
}
