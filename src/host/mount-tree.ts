import { ForerunError } from '../errors.ts'
import { type OverlayKind, overlayViewOptions } from './overlay.ts'
import { ownEnvironment } from './own-environment.ts'
import { run } from './run.ts'

/** What can be looked at: a folder as it lies there, or what the overlay of a deployment shows, which is not mounted. */
export type Tree =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'overlay'; readonly deployment: string; readonly overlay: OverlayKind }

/**
 * Mounts a tree so that nobody writes to it, or gets privileges or devices by it; apart from where it comes from, so that
 * what is mounted in the one later is not in the other. mount(8) needs several steps for a folder, so for a moment all
 * is allowed: `point` has to be out of reach of others.
 *
 * @throws ForerunError `mount`.
 */
export async function mountReadOnly(tree: Tree, point: string): Promise<void> {
  const apart = 'nosuid,nodev,private'
  if (tree.kind === 'folder') await mountProgram(['-o', `bind,ro,${apart}`, '--', tree.path, point], tree.path)
  else {
    const options = `${overlayViewOptions(tree.deployment, tree.overlay)},${apart}`
    await mountProgram(['-t', 'overlay', '-o', options, '--', 'overlay', point], tree.deployment)
  }
}

/** Mounts at an open folder, whatever its name leads to by now, what is mounted at `from`, with the same restrictions and at once. */
export async function bindToOpenFolder(from: string, fd: number): Promise<void> {
  // The dot makes every version of mount(8) follow the kernel's link.
  const target = `/proc/${process.pid}/fd/${fd}/.`
  await mountProgram(['--no-canonicalize', '--bind', '--', from, target], from)
}

/** Ends the uppermost mount at a point. @throws ForerunError `mount`, also when it is in use; it stays as it was then. */
export async function unmountPoint(point: string): Promise<void> {
  const { status, stderr } = await inEnglish('umount', ['--no-canonicalize', '--', point])
  if (status === 0) return
  if (stderr.includes('busy')) {
    throw new ForerunError('mount', `'${point}' is in use`, {
      hint: `See what uses it, and end that: fuser -vm '${point}', or lsof +f -- '${point}'`,
    })
  }
  throw new ForerunError('mount', `'${point}' cannot be unmounted: ${firstLine(stderr)}`, { hint: kernelMessages })
}

async function mountProgram(words: readonly string[], subject: string): Promise<void> {
  const { status, stderr } = await inEnglish('mount', words)
  if (status === 0) return
  throw new ForerunError('mount', `'${subject}' cannot be mounted: ${firstLine(stderr)}`, { hint: kernelMessages })
}

const kernelMessages = 'See the messages of the kernel: dmesg'

/** It is not cut short: a mount is there or not. */
function inEnglish(program: string, words: readonly string[]) {
  return run(program, words, { timeout: 60_000, environment: { ...ownEnvironment(), LC_ALL: 'C' } })
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}
