import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProgramFailure, run } from './run.ts'

/**
 * An overlay over a checkout: `writable` keeps what is written apart from it, in `upper`; `read-only` lets nobody write,
 * whatever is mounted anew, since such a file system has no place to write to.
 */
export type OverlayKind = 'writable' | 'read-only'

/** Folders of a deployment whose root is an overlay, mounted at its `rootfs`. */
export const overlayFolders = {
  writable: { lower: 'checkout', beside: ['upper', 'work'] },
  'read-only': { lower: 'checkout', beside: ['empty'] },
} as const

/**
 * The options of mount(8) for the overlay of a deployment. What would tie `upper` to the very inodes below is off, so
 * that it can lie over the checkout of a later version, too (kernel documentation, "Overlay Filesystem", "Changes to
 * underlying filesystems"). Without an upper folder the kernel wants two lower ones.
 */
export function overlayOptions(folder: string, kind: OverlayKind): string {
  const lower = join(folder, overlayFolders[kind].lower)
  if (kind === 'read-only') return `ro,lowerdir=${lower}:${join(folder, 'empty')}`
  const untied = 'index=off,metacopy=off,redirect_dir=off,xino=off'
  return `lowerdir=${lower},upperdir=${join(folder, 'upper')},workdir=${join(folder, 'work')},${untied}`
}

/** The same for looking at what such an overlay would show, where it is not mounted: nothing can be written. */
export function overlayViewOptions(folder: string, kind: OverlayKind): string {
  const names = { writable: ['upper', 'checkout'], 'read-only': ['checkout', 'empty'] }[kind]
  return `ro,redirect_dir=nofollow,metacopy=off,lowerdir=${names.map((name) => join(folder, name)).join(':')}`
}

/**
 * Mounts an overlay below `folder`, which must not exist, and changes files in it, as a container may. It is mounted for
 * the trying process alone, and gone with it, however that ends; the folder is removed.
 *
 * @returns why it does not work; undefined when it does.
 * @throws ForerunError `interrupted`.
 */
export async function overlayFault(
  folder: string,
  kind: OverlayKind,
  { signal }: { signal: AbortSignal },
): Promise<string | undefined> {
  const { lower, beside } = overlayFolders[kind]
  try {
    for (const name of [`${lower}/replaced`, ...beside, 'rootfs']) mkdirSync(join(folder, name), { recursive: true })
    for (const name of ['removed', 'changed', 'replaced/file']) writeFileSync(join(folder, lower, name), 'x')
    const script = kind === 'writable' ? `${mountIt}; ${changeIt}` : mountIt
    const words = ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh']
    const options = [overlayOptions(folder, kind), join(folder, 'rootfs')]
    const { status, stderr } = await run('unshare', [...words, ...options], { signal, timeout: 60_000 })
    return status === 0 ? undefined : reason(stderr)
  } catch (cause) {
    if (cause instanceof ProgramFailure) return `the program ${cause.message}`
    throw cause
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const mountIt = 'mount -t overlay -o "$1" overlay "$2"; cd "$2"'

/** Removing makes a character device in the upper folder, and making a folder anew sets an extended attribute. */
const changeIt =
  'rm removed; chmod 600 changed; echo y >>changed; rm -r replaced; mkdir replaced; test ! -e replaced/file'

/** mount(8) lists all that EINVAL may mean, of which here only one can be. */
function reason(output: string): string {
  if (output.includes('wrong fs type')) return 'the kernel refuses it on this file system'
  if (output.includes('unknown filesystem type')) return 'the kernel has no overlay file system'
  const [line] = output.split('\n').filter((text) => text.trim() !== '')
  return line?.trim() ?? 'changes do not show in it'
}
