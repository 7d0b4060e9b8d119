import { posix } from 'node:path'
import { type ByteString, byteString } from '../tree/entry.ts'
import { isBindMount } from './bind-mount.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/** A path of the root file system, absolute and without symbolic links resolved, on which something will be mounted. */
export interface MountPoint {
  readonly path: ByteString
  readonly kind: 'directory' | 'file'
  /** Permission bits to make it with. A tmpfs that copies up takes them over, so `/tmp` has its sticky ones here. */
  readonly mode: number
}

/**
 * What a runtime would make in the root file system before the start, when it is absent: the places of mounts and the
 * working directory. Made beforehand in the checkout alone, they do not change directories that other checkouts share.
 * Places inside another mount are left out, since they are not in the root file system.
 *
 * @param kind what lies at a path of the host; undefined when there is nothing.
 */
export function mountPoints(
  configuration: RuntimeConfiguration,
  kind: (path: string) => 'directory' | 'file' | undefined,
): MountPoint[] {
  const points = new Map<string, Omit<MountPoint, 'path'>>()
  const add = (path: string, found: Omit<MountPoint, 'path'>): void => {
    const inside = [...points.keys()].some((outer) => path === outer || path.startsWith(`${outer}/`))
    if (path !== '/' && !inside) points.set(path, found)
  }
  for (const mount of configuration.mounts ?? []) {
    const source = isBindMount(mount) && mount.source?.startsWith('/') ? kind(mount.source) : undefined
    const found = source ?? 'directory'
    add(absolute(mount.destination), { kind: found, mode: found === 'file' ? 0o644 : tmpfsMode(mount) })
  }
  add(absolute(configuration.process.cwd), { kind: 'directory', mode: 0o755 })
  return [...points].map(([path, found]) => ({ path: byteString(path), ...found }))
}

function tmpfsMode({ type, options = [] }: Mount): number {
  const mode = type === 'tmpfs' ? options.findLast((option) => /^mode=[0-7]+$/.test(option)) : undefined
  return mode === undefined ? 0o755 : Number.parseInt(mode.slice('mode='.length), 8) & 0o7777
}

function absolute(path: string): string {
  return posix.resolve('/', path)
}
