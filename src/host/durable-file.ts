import { randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { interruption } from './event-loop.ts'
import { ProgramFailure, run } from './run.ts'
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

/**
 * As `syncFileSystemOf`, by sync(1), so that signals are heard meanwhile and nobody has to wait for the disk to leave: gigabytes
 * may take a minute. Where there is no such program, nothing is done: `syncFileSystemOf` has to follow in any case.
 *
 * @throws ForerunError `interrupted`, `host-file`
 */
export async function beginSync(folder: string, { signal }: { signal: AbortSignal }): Promise<void> {
  try {
    const { status, stderr } = await run('sync', ['--file-system', folder], { signal, timeout: longestSync })
    // The kernel tells an error of the disk once only.
    if (status !== 0) {
      throw new ForerunError('host-file', `cannot write to the disk of '${folder}': ${stderr.trim()}`, {
        hint: 'Look at the disk, and at what the kernel says of it: dmesg.',
      })
    }
  } catch (error) {
    if (signal.aborted) throw interruption(signal, 'while writing to the disk')
    if (!(error instanceof ProgramFailure && error.fault === 'absent')) throw error
  }
}

/** Milliseconds: gigabytes to a slow disk. */
const longestSync = 3_600_000
