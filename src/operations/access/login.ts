import { existsSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import type { AuthScope } from '../../source/registry/auth/auth-key.ts'
import { checkLogin } from '../../source/registry/auth/check-login.ts'
import { storeCredentials } from '../../source/registry/auth/credential-store.ts'
import { storedCredentials } from '../../source/registry/auth/credentials.ts'
import type { ContainersPlace } from '../../source/registry/config/containers-folders.ts'
import type { Credentials } from '../../source/registry/transport/registry.ts'
import type { Context, SourceOptions } from '../context.ts'
import { formatLoginScope, parseLoginScope } from './login-scope.ts'

/** Somebody at a terminal. */
export interface Prompt {
  user(registry: string): Promise<string>
  /** Not shown while it is typed. */
  password(user: string, registry: string): Promise<string>
}

export interface LoginRequest extends Pick<SourceOptions, 'tlsVerify' | 'certDir' | 'authfile'> {
  /** `REGISTRY[/NAMESPACE]` */
  readonly registry: string
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** undefined: there is nobody to ask. */
  readonly prompt?: Prompt | undefined
  /** Default: this one, as this user sees it. */
  readonly host?: ContainersPlace
}

export interface LoginResult {
  readonly registry: string
  readonly user: string
  /** Where they are kept: a file, or the program of a credential helper. */
  readonly place: string
  /** They were there already, and are right. */
  readonly known: boolean
}

/**
 * Logs in to a registry as podman and skopeo do: what it takes is kept for these tools and for forerun. Where neither user nor password
 * is given, those that are stored are tried first.
 *
 * @throws ForerunError `unauthorized` when the registry does not take them, `credentials` when they cannot be kept, `usage`
 * when they are not given and nobody can be asked.
 */
export async function login(request: LoginRequest, context: Context): Promise<LoginResult> {
  const scope = parseLoginScope(request.registry)
  const registry = formatLoginScope(scope)
  const known = await knownLogin(scope, request, context)
  if (known !== undefined) return { registry, ...known, known: true }
  const credentials = await wantedCredentials(registry, request)
  await check(scope, credentials, { request, context })
  const { authfile, host } = request
  const place = await storeCredentials(scope, credentials, { authfile, ...host, context })
  return { registry, user: credentials.user, place, known: false }
}

/** Who one is to a registry. @throws ForerunError `credentials` when nobody is. */
export async function currentLogin(
  { registry, authfile, host }: Pick<LoginRequest, 'registry' | 'authfile' | 'host'>,
  context: Context,
): Promise<Omit<LoginResult, 'known'>> {
  const scope = parseLoginScope(registry)
  const found = await storedCredentials({ authfile, ...host })(scope, context)
  const name = formatLoginScope(scope)
  if (found !== undefined) return { registry: name, user: userOf(found.credentials), place: found.place }
  throw new ForerunError('credentials', `not logged in to ${name}`, { hint: `Log in: forerun login ${name}` })
}

async function knownLogin(
  scope: AuthScope,
  request: LoginRequest,
  context: Context,
): Promise<{ user: string; place: string } | undefined> {
  if (request.user !== undefined || request.password !== undefined) return undefined
  const found = await storedBefore(scope, request, context)
  if (found === undefined) return undefined
  try {
    await check(scope, found.credentials, { request, context })
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code !== 'unauthorized' || request.prompt === undefined) throw error
    context.emit({ type: 'notice', message: `What ${found.place} has for ${scope.domain} is not accepted any more.` })
    return undefined
  }
  return { user: userOf(found.credentials), place: found.place }
}

/** A file that is named to be written need not be there yet. */
async function storedBefore(scope: AuthScope, { authfile, host }: LoginRequest, context: Context) {
  const named = authfile ?? (host?.environment ?? process.env).REGISTRY_AUTH_FILE
  if (named && !existsSync(named)) return undefined
  return storedCredentials({ authfile, ...host })(scope, context)
}

async function wantedCredentials(
  registry: string,
  { user: givenUser, password: givenPassword, prompt }: LoginRequest,
): Promise<{ user: string; password: string }> {
  if ((givenUser === undefined || givenPassword === undefined) && prompt === undefined) {
    const lacking = givenUser === undefined ? 'a user' : 'a password'
    throw new ForerunError('usage', `logging in to ${registry} needs ${lacking}, and there is no terminal to ask on`, {
      hint: `Write: forerun login --username USER --password-stdin ${registry} < FILE`,
    })
  }
  const user = givenUser ?? (await prompt?.user(registry)) ?? ''
  if (user === '' || user.includes(':')) {
    throw new ForerunError('usage', user === '' ? 'the user is empty' : 'a user has no colon in it', {
      hint: 'Write the user alone with --username, and the password with --password-stdin.',
    })
  }
  const password = givenPassword ?? (await prompt?.password(user, registry)) ?? ''
  if (password !== '') return { user, password }
  throw new ForerunError('usage', 'the password is empty', { hint: 'Nothing was changed. Log in again.' })
}

function check(
  { domain }: AuthScope,
  credentials: Credentials,
  { request: { tlsVerify, certDir, host }, context }: { request: LoginRequest; context: Context },
): Promise<void> {
  const options = { ...host, ...context.settings.registry, userAgent: `forerun/${context.version}`, credentials }
  const security = { ...(tlsVerify !== undefined && { tlsVerify }), ...(certDir !== undefined && { certDir }) }
  return checkLogin(domain, { ...options, ...security }, context)
}

function userOf(credentials: Credentials): string {
  return 'user' in credentials ? credentials.user : '<token>'
}
