import { posix } from 'node:path'
import { isBindMount } from './bind-mount.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'
import { type UnitSetting, unitValue } from './unit-file.ts'
import { withoutVarRun } from './var-run.ts'

/** Where the system manager of systemd hears services (sd_notify(3)), on every version. */
export const notifySocket = '/run/systemd/notify'

/**
 * How what a container tells systemd of itself gets there; `undefined` where systemd does not listen.
 *
 * - `runtime`: the runtime hands the readiness on and leaves; the container's own process is the main one. Create and start are
 *   two commands: a runc that runs the container itself (1.1.5 to 1.3.6, in the foreground or not) waits for ever for the
 *   readiness of one that has died. What a program of the container sends that ends at once arrives, too, as with
 *   the `systemd-notify` before version 246; for such a message systemd itself often finds no sender any more.
 * - `container`: the container has the socket of systemd, and the runtime knows of none. For all that needs more than the
 *   readiness told once, and where the container sees /run of the host: there a runtime's mount on /run/notify
 *   stays behind on the host and makes the next start fail.
 */
export type NotifyWay = 'runtime' | 'container' | undefined

/** @param start whether the runtime is started to run the container and with nothing else said. */
export function notifyWay(
  unit: readonly UnitSetting[],
  mounts: readonly Mount[],
  start: { isPlain: boolean },
): NotifyWay {
  const value = (key: string): string | undefined => unitValue(unit, 'Service', key)
  if (!hearsService(unit)) return undefined
  const isReadinessAlone = value('Type') === 'notify' && !hearsService(unit, moreThanReadiness)
  const isSimple = start.isPlain && isReadinessAlone && value('PIDFile') === undefined
  return isSimple && !seesSocket(mounts) ? 'runtime' : 'container'
}

/**
 * Whether systemd gives the unit's main process a NOTIFY_SOCKET: by its type, its `NotifyAccess=`, its watchdog, or
 * descriptors that it may store (systemd.service(5)).
 */
function hearsService(
  unit: readonly UnitSetting[],
  settings: readonly (readonly [string, RegExp])[] = hearing,
): boolean {
  return settings.some(([key, unheard]) => !unheard.test(unitValue(unit, 'Service', key)?.toLowerCase() ?? ''))
}

/** Settings, each with the values by which nothing is heard. */
const moreThanReadiness = [
  ['WatchdogSec', /^(?:|0[a-z]*|infinity)$/],
  ['FileDescriptorStoreMax', /^0?$/],
] as const
const hearing = [...moreThanReadiness, ['Type', /^(?!notify)/], ['NotifyAccess', /^(?:none)?$/]] as const

/**
 * The settings of a drop-in for a way. Where the container has the socket, the runtime stays the main process, unless the
 * container names another. Where the runtime has left, systemd finds the main process by the pid file, since not every runtime
 * tells it, and the state of the container is for the unit to delete.
 */
export function notifySettings(way: NotifyWay, service: { pidFile: string; deleteState: string }): string[][] {
  if (way === undefined) return []
  if (way === 'container') {
    return [
      ['NotifyAccess', 'all'],
      ['UnsetEnvironment', 'NOTIFY_SOCKET'],
    ]
  }
  return [
    ['PIDFile', service.pidFile.replaceAll('%', '%%')],
    ['ExecStopPost', service.deleteState],
  ]
}

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
 * A mount of ours on a folder of the host would leave an empty file there, or itself where mounts are shared, so the root of
 * the container takes it in that case.
 */
function socketInContainer(mounts: readonly Mount[]): { path: string; mount?: Mount } {
  if (seesSocket(mounts)) return { path: notifySocket }
  const cover = coveringMount(mounts, notifySocket)
  return mountedAt(cover === undefined || !isBindMount(cover) ? notifySocket : '/.notify')
}

/** Whether the socket of the host lies at its place in the container, too. */
function seesSocket(mounts: readonly Mount[]): boolean {
  const cover = coveringMount(mounts, notifySocket)
  if (cover === undefined || !isBindMount(cover) || !cover.source?.startsWith('/')) return false
  const inside = posix.relative(posix.resolve('/', cover.destination), notifySocket)
  return withoutVarRun(posix.resolve(cover.source, inside)) === notifySocket
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
