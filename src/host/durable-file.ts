import { randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { syncFileSystem } from './system-calls.ts'

/**
 * Replaces a file in one step, and durably: after it returns, a power cut leaves the new content; before, the old. The
 * temporary name lies in the same directory and begins with `.`.
 */
export function writeFileDurably(path: string, content: string | Uint8Array, options: { mode?: number } = {}): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(fd, content)
      fchmodSync(fd, options.mode ?? 0o644)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Makes everything durable on the file system that holds a folder. */
export function syncFileSystemOf(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    syncFileSystem(fd)
  } finally {
    closeSync(fd)
  }
}
