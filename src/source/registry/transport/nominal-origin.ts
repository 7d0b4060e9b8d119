import type { Reference } from '../../../image/reference.ts'

/** The address that a registry has if it speaks TLS: what messages say before the real one is found. */
export function nominalOrigin({ domain }: Reference): string {
  // Docker's own registry is at another host than its name says.
  return `https://${domain === 'docker.io' ? 'registry-1.docker.io' : domain}`
}
