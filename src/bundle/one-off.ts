import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { isBindMount } from './bind-mount.ts'
import { notifySocket } from './notify-socket.ts'
import { containerCgroup } from './runtime-configuration.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'

/** A container that runs one command, and is gone with it. */
export interface OneOffWish {
  /** The command; none: that of the configuration. */
  readonly words: readonly string[]
  /** The terminal that it has; undefined: none. */
  readonly terminal: { readonly name: string; readonly width: number; readonly height: number } | undefined
  /** The control group whose subgroup is the container's. */
  readonly cgroup: string
  /** The bundle of the configuration, which relative paths are of. */
  readonly folder: string
}

/**
 * The configuration of a container that runs one command, made of that of a service. Its paths are absolute, so that it may lie in
 * another folder. It has no socket to systemd, which would take it for the service.
 */
export function oneOffConfiguration(configuration: RuntimeConfiguration, wish: OneOffWish): RuntimeConfiguration {
  const { process, root, mounts = [], linux } = configuration
  const { consoleSize: _, ...rest } = process
  const { terminal, words, folder } = wish
  const size = terminal && { consoleSize: { height: terminal.height, width: terminal.width } }
  return {
    ...configuration,
    process: {
      ...rest,
      ...(words.length === 0 ? {} : { args: [...words] }),
      env: environment(process.env ?? [], terminal?.name),
      terminal: terminal !== undefined,
      ...size,
    },
    root: { ...root, path: posix.resolve(folder, root.path) },
    mounts: mounts.filter(({ source }) => source !== notifySocket).map((mount) => withAbsoluteSource(mount, folder)),
    linux: { ...linux, cgroupsPath: containerCgroup(wish.cgroup) },
  }
}

/**
 * Refuses a configuration whose bind mounts have sources that are not there, which a runtime tells in words of its own.
 *
 * @param exists whether there is something at a path of the host.
 * @param hint what makes them.
 * @throws ForerunError `configuration`.
 */
export function requireSources(
  { mounts = [] }: RuntimeConfiguration,
  { exists, hint }: { exists: (path: string) => boolean; hint: string },
): void {
  const sources = mounts.filter(isBindMount).flatMap(({ source }) => source ?? [])
  const absent = sources.find((source) => source.startsWith('/') && !exists(source))
  if (absent === undefined) return
  throw new ForerunError('configuration', `'${absent}' is not there for the container to bind`, { hint })
}

function environment(entries: readonly string[], terminal: string | undefined): string[] {
  const kept = entries.filter((entry) => !entry.startsWith('NOTIFY_SOCKET='))
  if (terminal === undefined || kept.some((entry) => entry.startsWith('TERM='))) return kept
  return [...kept, `TERM=${terminal}`]
}

function withAbsoluteSource(mount: Mount, folder: string): Mount {
  if (!isBindMount(mount) || mount.source === undefined) return mount
  return { ...mount, source: posix.resolve(folder, mount.source) }
}
