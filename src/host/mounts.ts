import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
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

/** How many mounts lie at just this point, one over the other, as this process sees them. @param point without symbolic links. */
export function mountsAt(point: string): number {
  return mounts().filter((mount) => mount.point === point).length
}

/**
 * Whether something in a folder is mounted anywhere on the host, wherever it was moved to, and as any process sees it.
 *
 * @param name of a folder, which no other folder of the host has.
 */
export function isMountedSomewhere(name: string): boolean {
  return mountNamespaces().some((process) => mounts(process).some(({ root }) => root.split('/').includes(name)))
}

interface Mount {
  readonly point: string
  /** The folder that is mounted, in its file system. */
  readonly root: string
  /** Both the mount and its file system have to be writable. */
  readonly isWritable: boolean
}

/** proc_pid_mountinfo(5). None where the process has gone. */
function mounts(process = 'self'): Mount[] {
  const lines = whenReadable(() => readFileSync(`/proc/${process}/mountinfo`, 'latin1'))?.split('\n') ?? []
  return lines.map((line) => {
    const [mount = '', fileSystem = ''] = line.split(' - ')
    const [, , , root = '', point = '', options = ''] = mount.split(' ')
    const [, , superOptions = ''] = fileSystem.split(' ')
    const isWritable = [options, superOptions].every((list) => list.split(',').includes('rw'))
    return { point: mountPoint(point), root: mountPoint(root), isWritable }
  })
}

/** A process of each. */
function mountNamespaces(): string[] {
  const processes = new Map<string, string>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const namespace = whenReadable(() => readlinkSync(`/proc/${name}/ns/mnt`))
    if (namespace !== undefined) processes.set(namespace, name)
  }
  return [...processes.values()]
}

/** undefined for a process that has gone, or is one of the kernel's or of others'. */
function whenReadable(read: () => string): string | undefined {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EINVAL', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Blanks and backslashes are written as octal numbers. */
function mountPoint(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_whole, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString()
}
