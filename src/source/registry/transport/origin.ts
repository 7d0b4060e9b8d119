import type { TransferContext } from '../../source.ts'
import { dropBody, exchange } from './answer.ts'
import { AttemptFailure, isCut } from './failure.ts'
import { nominalOrigin } from './nominal-origin.ts'
import type { Registry } from './registry.ts'

/**
 * Where the registry answers: `https://HOST`, or `http://HOST` when it does not speak TLS and need not, which is found
 * out once. Throws as `exchange` does.
 */
export async function findOrigin(registry: Registry, context: TransferContext): Promise<string> {
  registry.origin ??= await probe(registry, context)
  return registry.origin
}

async function probe(registry: Registry, context: TransferContext): Promise<string> {
  const encrypted = nominalOrigin(registry.reference)
  if (!mayBePlain(registry)) return encrypted
  const plain = encrypted.replace('https:', 'http:')
  try {
    await ping(registry, encrypted, context)
    return encrypted
  } catch (error) {
    if (!(error instanceof AttemptFailure)) throw error
    // A server without TLS may answer in HTTP, or hang up; without a port in the name, HTTP has another port than TLS.
    const isRefusal = error.kind === 'refused' || error.kind === 'not-tls' || isCut(error)
    if (registry.secured || !isRefusal) throw error
  }
  await ping(registry, plain, context)
  return plain
}

function mayBePlain({ settings: { tlsVerify }, reference: { domain } }: Registry): boolean {
  if (tlsVerify !== undefined) return !tlsVerify
  return isLoopback(new URL(`https://${domain}`))
}

/** Whether an address is this machine's own, by what it says: a name that begins with 127 is none. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || /^127(\.\d+){3}$/.test(hostname) || hostname === '[::1]'
}

async function ping(registry: Registry, origin: string, context: TransferContext): Promise<void> {
  dropBody(await exchange(registry, new URL('/v2/', origin), { headers: {}, context }))
}
