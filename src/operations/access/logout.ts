import { isAbsolute } from 'node:path'
import { ForerunError } from '../../errors.ts'
import type { AuthScope } from '../../source/registry/auth/auth-key.ts'
import { loginFile } from '../../source/registry/auth/auth-places.ts'
import {
  type CredentialStoreOptions,
  eraseCredentials,
  storedScopes,
} from '../../source/registry/auth/credential-store.ts'
import { storedCredentials } from '../../source/registry/auth/credentials.ts'
import type { ContainersPlace } from '../../source/registry/config/containers-folders.ts'
import type { Context } from '../context.ts'
import { formatLoginScope, parseLoginScope } from './login-scope.ts'

export interface LogoutRequest {
  /** `REGISTRY[/NAMESPACE]`; undefined: all that the file has. */
  readonly registry: string | undefined
  readonly authfile?: string | undefined
  /** Default: this one, as this user sees it. */
  readonly host?: ContainersPlace
}

export interface LogoutResult {
  /** Where credentials were removed: each registry with the file or helper that had them. */
  readonly removed: readonly { readonly registry: string; readonly place: string }[]
}

/**
 * Forgets credentials that `login` or podman has stored in the same file, and those in the helpers that go with it.
 *
 * @throws ForerunError `credentials` when the one registry that is meant was not logged in to there.
 */
export async function logout(request: LogoutRequest, context: Context): Promise<LogoutResult> {
  const { registry, authfile, host } = request
  const options = { authfile, ...host }
  const scopes = registry === undefined ? storedScopes(options) : [parseLoginScope(registry)]
  const removed: LogoutResult['removed'][number][] = []
  for (const scope of scopes) {
    const places = await eraseCredentials(scope, { ...options, context })
    removed.push(...places.map((place) => ({ registry: formatLoginScope(scope), place })))
  }
  const [only] = scopes
  if (registry !== undefined && only !== undefined && removed.length === 0)
    throw await notLoggedIn(only, options, context)
  return { removed }
}

async function notLoggedIn(
  scope: AuthScope,
  options: Pick<LogoutRequest, 'authfile'> & CredentialStoreOptions,
  context: Context,
): Promise<ForerunError> {
  const name = formatLoginScope(scope)
  const file = loginFile(options.authfile, options)
  const message = `not logged in to ${name} by ${file}`
  const other = options.authfile === undefined ? await storedCredentials(options)(scope, context) : undefined
  if (other === undefined || other.place === file) {
    return new ForerunError('credentials', message, { hint: 'Nothing was changed.' })
  }
  const isFile = isAbsolute(other.place)
  return new ForerunError('credentials', `${message}, but by ${other.place}`, {
    hint: isFile
      ? `Log out there: forerun logout --authfile ${other.place} ${name}`
      : 'Log out with the tool that named it.',
  })
}
