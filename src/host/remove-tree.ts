import { lstatSync, rmdirSync } from 'node:fs'
import { mountsWithin } from './mounts.ts'
import { run } from './run.ts'

/**
 * Removes a folder with all that is in it, or a file; nothing where there is none. What is mounted beneath is somebody's
 * own: then nothing at all is removed.
 *
 * @returns why it is still there, in words that follow its path; undefined when it is gone.
 */
export async function removeTree(path: string): Promise<string | undefined> {
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined) return undefined
  const [mounted] = mountsWithin(path)
  if (mounted !== undefined) return `stays: '${mounted}' is mounted in it`
  if (status.isDirectory() && removeEmptyDirectory(path)) return undefined
  // Reaches paths of any length, and stops at the file systems of mounts that have come in the meantime.
  const { status: exit, stderr } = await run('rm', ['-rf', '--one-file-system', '--', path], { timeout: patience })
  return exit === 0 ? undefined : `could not be removed: ${stderr.trim().split('\n')[0]}`
}

/** Milliseconds: millions of files on a slow disk. */
const patience = 30 * 60_000

/** Whether a directory was empty, and is gone. */
function removeEmptyDirectory(path: string): boolean {
  try {
    rmdirSync(path)
    return true
  } catch {
    return false
  }
}
