import { lstatSync, readFileSync, realpathSync, rmdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
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

/** Mount points at a path or below it, as this process sees them. */
export function mountsWithin(path: string): string[] {
  const real = join(realpathSync(dirname(path)), basename(path))
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .map((line) => mountPointOf(line))
    .filter((point) => point === real || point.startsWith(`${real}/`))
}

/** proc_pid_mountinfo(5): the fifth field, in which blanks and backslashes are written as octal numbers. */
function mountPointOf(line: string): string {
  const field = line.split(' ')[4] ?? ''
  const bytes = field.replace(/\\([0-7]{3})/g, (_whole, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString()
}
