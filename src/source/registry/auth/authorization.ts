import { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import { dropBody } from '../transport/answer.ts'
import { follow } from '../transport/follow.ts'
import { findOrigin } from '../transport/origin.ts'
import type { Authorization, Credentials, Registry, Scope } from '../transport/registry.ts'
import { basicHeader, identityOf } from './basic.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { fetchToken } from './token.ts'

/**
 * The `Authorization` header to send to the registry: none before it asked for one, and a new token when the one at
 * hand runs out.
 */
export async function currentAuthorization(
  registry: Registry,
  context: TransferContext,
  scope: Scope,
): Promise<string | undefined> {
  const authorization = registry.authorizations.get(scopesOf(registry, scope).join(' '))
  if (authorization === undefined) return undefined
  if (performance.now() < authorization.expires) return authorization.header
  return renewAuthorization(registry, context, { challenge: authorization.challenge, scope })
}

/**
 * Answers a 401 with what the registry's credential source has for the repository, or anonymously: by a token, where one
 * is offered, else by user and password. `used` is the header that the registry did not accept. Requests that run side by
 * side share one renewal.
 *
 * @throws ForerunError `unauthorized` when the registry asks for something that is not there, or has refused it already;
 * `credentials` as the source does.
 */
export async function answerChallenge(
  registry: Registry,
  context: TransferContext,
  { challenge, used, scope }: { challenge: string | undefined; used: string | undefined; scope: Scope },
): Promise<string> {
  const authorization = registry.authorizations.get(scopesOf(registry, scope).join(' '))
  // Another request, sent at the same time, may have got a new one already.
  if (authorization !== undefined && authorization.header !== used) return authorization.header
  const asked = challenge ?? (await generalChallenge(registry, context)) ?? ''
  return renewAuthorization(registry, context, { challenge: asked, scope })
}

/**
 * What to send to a registry that did not ask, with the answer 403 or 404, but asks at `/v2/` (distribution project, "API Version
 * Check"). undefined where it asks nowhere, and where there are no credentials: without, there is nothing more to see.
 *
 * @throws as `answerChallenge`
 */
export async function authorizeUnasked(
  registry: Registry,
  context: TransferContext,
  scope: Scope,
): Promise<string | undefined> {
  const challenge = await generalChallenge(registry, context)
  if (challenge === undefined) return undefined
  if ((await registry.settings.credentials(registry.reference, context)) === undefined) return undefined
  return answerChallenge(registry, context, { challenge, used: undefined, scope })
}

/** The challenge of the registry as a whole, asked for once. */
async function generalChallenge(registry: Registry, context: TransferContext): Promise<string | undefined> {
  if (registry.generalChallenge === undefined) {
    const answer = await follow(registry, new URL('/v2/', await findOrigin(registry, context)), {
      headers: {},
      context,
    })
    dropBody(answer)
    registry.generalChallenge = { header: answer.status === 401 ? answer.header('www-authenticate') : undefined }
  }
  return registry.generalChallenge.header
}

/** Under way, by registry and scope. */
const renewals = new WeakMap<Registry, Map<string, Promise<string>>>()

function renewAuthorization(
  registry: Registry,
  context: TransferContext,
  { challenge, scope }: { challenge: string; scope: Scope },
): Promise<string> {
  const scopes = scopesOf(registry, scope)
  const words = scopes.join(' ')
  const underWay = renewals.get(registry) ?? new Map<string, Promise<string>>()
  renewals.set(registry, underWay)
  const renewal =
    underWay.get(words) ??
    authorize(registry, context, { challenge, scopes })
      .then((authorization) => {
        registry.authorizations.set(words, authorization)
        return authorization.header
      })
      .finally(() => underWay.delete(words))
  underWay.set(words, renewal)
  return renewal
}

/** What is asked for unless the challenge knows better. */
function scopesOf({ reference: { path } }: Registry, { actions, mountFrom }: Scope): string[] {
  // A registry as a whole: logging in.
  if (path === '') return []
  const own = `repository:${path}:${actions}`
  return mountFrom === undefined ? [own] : [own, `repository:${mountFrom}:pull`]
}

async function authorize(
  registry: Registry,
  context: TransferContext,
  { challenge, scopes }: { challenge: string; scopes: readonly string[] },
): Promise<Authorization> {
  const challenges = parseChallenges(challenge)
  const credentials = await registry.settings.credentials(registry.reference, context)
  const identity = identityOf(credentials)
  const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'))
  if (bearer !== undefined) {
    const request = { challenge: bearer, scopes: scopesFor(bearer, scopes), credentials }
    const { token, expires } = await fetchToken(registry, request, context)
    return { header: `Bearer ${token}`, expires, challenge, identity }
  }
  const header = basicHeader(basicCredentials(registry, { challenges, credentials }))
  return { header, expires: Number.POSITIVE_INFINITY, challenge, identity }
}

/**
 * What to ask for where the challenge names repositories (distribution project, "Token Scope Documentation"): a registry in
 * front of another one wants a token for what the image is called there. Never for more than the request does, so that nobody
 * gets a token to push with for a pull.
 */
function scopesFor({ parameters }: Challenge, own: readonly string[]): readonly string[] {
  const mayDo = new Set(own.flatMap((scope) => scope.slice(scope.lastIndexOf(':') + 1).split(',')))
  const isOwn = (name: string) => own.some((scope) => scope.startsWith(`repository:${name}:`))
  const named = [...(parameters.get('scope') ?? '').matchAll(/repository:(\S+):([\w,*]+)/g)].map(
    ([, name = '', actions = '']) => ({ name, actions: actions.split(',').filter((action) => mayDo.has(action)) }),
  )
  const others = named
    .filter(({ name, actions }) => !isOwn(name) && actions.length > 0)
    .map(({ name, actions }) => `repository:${name}:${actions.join(',')}`)
  if (others.length === 0) return own
  return named.some(({ name }) => isOwn(name)) ? [...own, ...others] : others
}

function basicCredentials(
  { reference: { domain, path } }: Registry,
  { challenges, credentials }: { challenges: readonly Challenge[]; credentials: Credentials | undefined },
): { user: string; password: string } {
  const subject = path === '' ? domain : `${domain}/${path}`
  const isBasic = challenges.some(({ scheme }) => scheme === 'basic')
  if (isBasic && credentials !== undefined && 'user' in credentials) return credentials
  if (isBasic && credentials !== undefined) {
    throw new ForerunError('unauthorized', `${domain} wants a password, and has no use for an identity token`, {
      hint: `Log in with a password: forerun login ${domain}`,
    })
  }
  if (credentials === undefined) {
    throw new ForerunError('unauthorized', `${domain} wants a user and a password for ${subject}`, {
      hint: `Check the spelling of the image, or log in: forerun login ${domain}`,
    })
  }
  throw new ForerunError('unauthorized', `${domain} does not say how to prove who one is`, {
    hint: 'forerun knows tokens (Bearer) and passwords (Basic). Check that no proxy changes its answers.',
  })
}
