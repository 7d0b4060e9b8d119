import { posix } from 'node:path'
import { type ByteString, byteString } from '../tree/entry.ts'
import { isBindMount } from './bind-mount.ts'
import type { ImageFiles } from './image-files.ts'
import type { KindAt, PathKind } from './installed-kind.ts'
import type { RuntimeConfiguration } from './runtime-schema.ts'

/** A path of the root file system, absolute and without symbolic links resolved, on which something will be mounted. */
export interface MountPoint {
  readonly path: ByteString
  readonly kind: 'directory' | 'file'
}

/**
 * What a runtime would make in the root file system before the start, when it is absent: the places of mounts and the
 * working directory. Made beforehand in the checkout alone, they do not change directories that other checkouts share.
 * Places inside another mount are left out, since they are not in the root file system.
 *
 * @param kind what lies at a source, of the host or, without a leading slash, of the bundle; undefined when there is nothing.
 */
export function mountPoints(
  configuration: RuntimeConfiguration,
  kind: (path: string) => 'directory' | 'file' | undefined,
): MountPoint[] {
  const points = new Map<string, MountPoint['kind']>()
  const add = (path: string, found: MountPoint['kind']): void => {
    const inside = [...points.keys()].some((outer) => path === outer || path.startsWith(`${outer}/`))
    if (path !== '/' && !inside) points.set(path, found)
  }
  for (const mount of configuration.mounts ?? []) {
    const source = isBindMount(mount) && mount.source ? kind(mount.source) : undefined
    add(absolute(mount.destination), source ?? 'directory')
  }
  add(absolute(configuration.process.cwd), 'directory')
  return [...points].map(([path, found]) => ({ path: byteString(path), kind: found }))
}

/** What will lie at the source of a bind mount: without a leading slash it is in the deployment, beside or in the image's files. */
export function sourceKind(source: string, files: ImageFiles, kind: KindAt): PathKind | undefined {
  if (source.startsWith('/')) return kind(source)
  const path = absolute(source)
  if (path === '/') return 'directory'
  if (path !== '/rootfs' && !path.startsWith('/rootfs/')) return 'file'
  const found = files.stat(byteString(path.slice('/rootfs'.length) || '/'))
  return found && (found.kind === 'directory' ? 'directory' : 'file')
}

function absolute(path: string): string {
  return posix.resolve('/', path)
}
