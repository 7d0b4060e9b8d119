import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.ts'

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

/**
 * Mounts an overlay below `folder`, which must not exist, and changes files in it, as a container may. It is mounted for
 * the trying process alone, and gone with it, however that ends; the folder is removed.
 *
 * @returns why it does not work, in the words of the program that failed; undefined when it does.
 */
export async function overlayFault(
  folder: string,
  kind: OverlayKind,
  { signal }: { signal: AbortSignal },
): Promise<string | undefined> {
  try {
    const { lower, beside } = overlayFolders[kind]
    for (const name of [lower, ...beside, 'rootfs', `${lower}/replaced`])
      mkdirSync(join(folder, name), { recursive: true })
    for (const name of ['removed', 'changed', 'replaced/file']) writeFileSync(join(folder, lower, name), 'x')
    const words = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-ec',
      `${mountIt}\n${kind === 'writable' ? changeIt : ''}`,
    ]
    const trial = await run('unshare', [...words, 'sh', overlayOptions(folder, kind), join(folder, 'rootfs')], {
      signal,
    })
    return trial.status === 0 ? undefined : lastLine(trial.stderr)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const mountIt = 'mount -t overlay -o "$1" overlay "$2"; cd "$2"'

/** Removing needs character devices in the upper folder, and a folder made anew an extended attribute. */
const changeIt =
  'rm removed; chmod 600 changed; echo y >>changed; rm -r replaced; mkdir replaced; test ! -e replaced/file'

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.includes('dmesg(1)'))
  return lines.at(-1)?.trim() ?? 'it does not show what was written'
}
