import { posix } from 'node:path'
import { isBindMount } from './bind-mount.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'
import { type UnitSetting, unitValue } from './unit-file.ts'

/** Where the system manager of systemd hears services (sd_notify(3)), on every version. */
export const notifySocket = '/run/systemd/notify'

/**
 * Whether systemd gives the unit's main process a NOTIFY_SOCKET: by its type, its `NotifyAccess=`, its watchdog, or
 * descriptors that it may store (systemd.service(5)).
 */
export function hearsService(unit: readonly UnitSetting[]): boolean {
  const value = (key: string): string => unitValue(unit, 'Service', key)?.toLowerCase() ?? ''
  return (
    /^notify(?:-reload)?$/.test(value('Type')) ||
    !/^(?:none)?$/.test(value('NotifyAccess')) ||
    !/^(?:|0[a-z]*|infinity)$/.test(value('WatchdogSec')) ||
    !/^0?$/.test(value('FileDescriptorStoreMax'))
  )
}

/**
 * The drop-in's settings for a container that has the socket of systemd itself. A runtime that knew of the socket would put
 * one of its own in between: runc 1.1.5 to 1.3.6 then waits for ever for a container that died before it was ready, passes on
 * nothing but the readiness, and leaves a mount on /run/notify of the host where the container shares /run with it.
 * The main process stays the runtime, unless the container names another.
 */
export const notifySettings: readonly (readonly [string, string])[] = [
  ['NotifyAccess', 'all'],
  ['UnsetEnvironment', 'NOTIFY_SOCKET'],
]

/** Gives the container the socket, in the place of any that its environment names. */
export function withNotifySocket(configuration: RuntimeConfiguration): RuntimeConfiguration {
  const { process, mounts = [] } = configuration
  const { path, mount } = socketInContainer(mounts)
  const env = (process.env ?? []).filter((entry) => !entry.startsWith('NOTIFY_SOCKET='))
  return {
    ...configuration,
    process: { ...process, env: [...env, `NOTIFY_SOCKET=${path}`] },
    ...(mount === undefined ? {} : { mounts: [...mounts, mount] }),
  }
}

/**
 * In a container that sees /run of the host, the socket is there already. A mount of ours on a folder of the host would
 * leave an empty file there, or itself where mounts are shared, so the root of the container takes it in that case.
 */
function socketInContainer(mounts: readonly Mount[]): { path: string; mount?: Mount } {
  const cover = coveringMount(mounts, notifySocket)
  if (cover === undefined || !isBindMount(cover)) return mountedAt(notifySocket)
  const inside = posix.relative(posix.resolve('/', cover.destination), notifySocket)
  const seen = cover.source?.startsWith('/') ? posix.resolve(cover.source, inside) : undefined
  if (seen?.replace(/^\/var\/run\//, '/run/') === notifySocket) return { path: notifySocket }
  return mountedAt('/.notify')
}

/** The mount in which a path of the container lies: the last one above it, since later ones cover earlier ones. */
function coveringMount(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts.findLast(({ destination }) => {
    const above = posix.resolve('/', destination)
    return above === path || path.startsWith(above === '/' ? above : `${above}/`)
  })
}

/** A read-only mount: a socket can be written to nevertheless. */
function mountedAt(path: string): { path: string; mount: Mount } {
  const options = ['bind', 'ro', 'nosuid', 'nodev', 'noexec']
  return { path, mount: { destination: path, type: 'bind', source: notifySocket, options } }
}
