import { readSettings } from '../config/settings.ts'
import type { Emit } from '../events.ts'
import { hostPaths } from '../host/paths.ts'
import type { Context } from '../operations/context.ts'
import type { SystemdManager } from '../systemd/manager.ts'
import { passwordPrompt } from './prompt.ts'
import { version } from './version.ts'

/** The real adapters behind an operation's context. Dispose of it to close the connection to systemd. */
export function wire(options: { emit: Emit; signal: AbortSignal }): Context & AsyncDisposable {
  const { emit, signal } = options
  const settings = readSettings()
  let connection: Promise<SystemdManager> | undefined
  return {
    version,
    settings,
    paths: hostPaths({ store: settings.store.path, containers: settings.containers.path }),
    emit,
    signal,
    candidates: async (location) => [location],
    source: async (location, { tlsVerify, authfile, creds }) => {
      if (location.transport !== 'docker') throw new Error('not yet')
      const { registrySource } = await import('../source/registry/registry-source.ts')
      const { credentialSource } = await import('../source/registry/credentials.ts')
      const registry = location.reference.domain
      const credentials = credentialSource({ authfile, creds, registry, askPassword: passwordPrompt(signal) })
      const options = { ...settings.registry, userAgent: `forerun/${version}`, credentials }
      return registrySource(location.reference, tlsVerify === undefined ? options : { ...options, tlsVerify })
    },
    target: () => Promise.reject(new Error('not yet')),
    async manager() {
      const { connectManager } = await import('../systemd/dbus-manager.ts')
      connection ??= connectManager({ signal, emit })
      return connection
    },
    async [Symbol.asyncDispose]() {
      // That it could not be made was told to whoever asked for it.
      const manager = await connection?.catch(() => undefined)
      await manager?.[Symbol.asyncDispose]()
    },
  }
}
