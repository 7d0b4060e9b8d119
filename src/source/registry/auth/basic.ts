import type { Credentials } from '../transport/registry.ts'

/** The value of an `Authorization` header (RFC 7617), in UTF-8. */
export function basicHeader({ user, password }: { user: string; password: string }): string {
  return `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`
}

/** Who the credentials say that one is, in words for an error; undefined: nobody. */
export function identityOf(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined) return undefined
  return 'user' in credentials ? `the user '${credentials.user}'` : 'the identity token'
}
