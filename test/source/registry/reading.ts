import type { ForerunEvent } from '../../../src/events.ts'
import type { Descriptor } from '../../../src/image/descriptor.ts'
import type { Platform } from '../../../src/image/platform.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { registrySource } from '../../../src/source/registry/registry-source.ts'
import type { RegistryOptions } from '../../../src/source/registry/transport/registry.ts'
import type { ImageSource, TransferContext } from '../../../src/source/source.ts'

export const amd64: Platform = { os: 'linux', architecture: 'amd64' }

/** Faults are to show in milliseconds, and this machine's settings are not to count. */
export const quick = {
  root: '/nonexistent',
  environment: {},
  delays: { first: 5, longest: 2_000 },
  timeouts: { connect: 2_000, headers: 300, idle: 300 },
} satisfies RegistryOptions

/** A source for `HOST/team/app:1`, what it emits, and a way to abort it. */
export function reading(host: string, options: RegistryOptions = {}, name = 'team/app:1') {
  const controller = new AbortController()
  const events: ForerunEvent[] = []
  const context: TransferContext = { signal: controller.signal, emit: (event) => events.push(event) }
  const source = registrySource(parseReference(`${host}/${name}`), { ...quick, ...options })
  return { source, context, events, controller, retries: () => events.filter(({ type }) => type === 'retry') }
}

export async function collect(source: ImageSource, descriptor: Descriptor, context: TransferContext): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source.blob(descriptor, context)))
}
