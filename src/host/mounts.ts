import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Mount points at a path or below it, as this process sees them. */
export function mountsWithin(path: string): string[] {
  const real = join(realpathSync(dirname(path)), basename(path))
  return mounts()
    .map(({ point }) => point)
    .filter((point) => point === real || point.startsWith(`${real}/`))
}

/** Mount points below a folder, given without symbolic links, that can be written to. */
export function writableMountsBelow(folder: string): string[] {
  const prefix = folder === '/' ? '/' : `${folder}/`
  const below = mounts().filter(({ point, isWritable }) => isWritable && point !== '/' && point.startsWith(prefix))
  return below.map(({ point }) => point)
}

/** proc_pid_mountinfo(5): both the mount and its file system have to be writable. */
function mounts(): { point: string; isWritable: boolean }[] {
  const lines = readFileSync('/proc/self/mountinfo', 'latin1').split('\n')
  return lines.map((line) => {
    const [mount = '', fileSystem = ''] = line.split(' - ')
    const [, , , , point = '', options = ''] = mount.split(' ')
    const [, , superOptions = ''] = fileSystem.split(' ')
    const isWritable = [options, superOptions].every((list) => list.split(',').includes('rw'))
    return { point: mountPoint(point), isWritable }
  })
}

/** Blanks and backslashes are written as octal numbers. */
function mountPoint(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_whole, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString()
}
