import { basename } from 'node:path'
import { readSettings, type Settings } from '../config/settings.ts'
import type { Emit } from '../events.ts'
import { hostPaths } from '../host/paths.ts'
import type { Context } from '../operations/context.ts'
import type { SystemdManager } from '../systemd/manager.ts'
import { openThreads } from '../workers/threads.ts'
import { version } from './version.ts'

/** The real adapters behind an operation's context. Dispose of it to end its threads, and to close the connection to systemd. */
export function wire(options: {
  emit: Emit
  signal: AbortSignal
  lockTimeout?: number | undefined
}): Context & AsyncDisposable {
  const { emit, signal, lockTimeout } = options
  const settings = spokenAs(calledAs(), readSettings())
  // Everything that knows of HTTP: loaded only by what looks for images.
  const openImage = () => import('./open-image.ts')
  const threads = openThreads()
  let connection: Promise<SystemdManager> | undefined
  return {
    version,
    settings,
    paths: hostPaths({ store: settings.store.path, containers: settings.containers.path }),
    emit,
    signal,
    lockTimeout,
    threads,
    candidates: async (location) => (await openImage()).candidatePlaces(location),
    source: async (location, options) => (await openImage()).openSource(location, options, { settings, signal }),
    target: async (location, options) => (await openImage()).openTarget(location, options, { settings, signal }),
    async manager() {
      const { connectManager } = await import('../systemd/dbus-manager.ts')
      connection ??= connectManager({ signal, emit })
      return connection
    },
    async [Symbol.asyncDispose]() {
      await threads[Symbol.asyncDispose]()
      // That it could not be made was told to whoever asked for it.
      const manager = await connection?.catch(() => undefined)
      await manager?.[Symbol.asyncDispose]()
    },
  }
}

/** The name by which the program was called; its launcher, which starts Node, hands it on. */
function calledAs(): string {
  return basename(process.env.FORERUN_CALLED_AS ?? process.argv[1] ?? '')
}

/** Scripts that call `atomic` look for that tool's words. */
function spokenAs(name: string, settings: Settings): Settings {
  return name === 'atomic' ? { ...settings, output: { ...settings.output, backend: 'ostree' } } : settings
}
