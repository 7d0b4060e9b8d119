import * as v from 'valibot'
import { ForerunError } from '../../../errors.ts'
import { absent } from '../../../image/descriptor.ts'
import { parseJson } from '../../../image/json.ts'
import type { TransferContext } from '../../source.ts'
import { type Answer, dropBody, exchange } from '../transport/answer.ts'
import { misbehaving } from '../transport/failure.ts'
import { follow } from '../transport/follow.ts'
import { nominalOrigin } from '../transport/nominal-origin.ts'
import { isLoopback } from '../transport/origin.ts'
import { refusal } from '../transport/refusal.ts'
import type { Credentials, Registry } from '../transport/registry.ts'
import { wholeBody } from '../transport/whole-body.ts'
import { basicHeader, identityOf } from './basic.ts'
import type { Challenge } from './challenge.ts'

export interface Token {
  readonly token: string
  /** In milliseconds of `performance.now()`. */
  readonly expires: number
}

export interface TokenRequest {
  /** A `Bearer` challenge that has a realm. */
  readonly challenge: Challenge
  /** `repository:NAME:ACTIONS`. None: only to learn whether the credentials are right. */
  readonly scopes: readonly string[]
  readonly credentials: Credentials | undefined
}

/**
 * Exchanges a challenge for a token (distribution project, "Token Authentication" and, with an identity token, "OAuth2
 * Token Authentication").
 *
 * @throws ForerunError `unauthorized` when the realm refuses, `registry` when it is unsafe or makes no sense; AttemptFailure
 * when it may answer later.
 */
export async function fetchToken(registry: Registry, request: TokenRequest, context: TransferContext): Promise<Token> {
  const realm = safeRealm(registry, request.challenge)
  const requested = performance.now()
  const answer = await answerOf(registry, realm, { request, context })
  if (answer.status !== 200) {
    const identity = identityOf(request.credentials)
    if (answer.status === 400 && identity !== undefined) throw badGrant(answer, { registry, identity })
    throw await refusal(answer, { registry, signal: context.signal, identity })
  }
  const { documentLimit: limit } = registry.settings
  const bytes = await wholeBody(answer, { limit, signal: context.signal, document: 'the token' })
  const { token, lifetime } = parseToken(bytes, realm)
  // The last tenth is left for the way of the request.
  return { token, expires: requested + lifetime * 900 }
}

/** A token that anybody on the way could read or replace, or a password, would undo what TLS gives. */
function safeRealm(registry: Registry, challenge: Challenge): URL {
  const realm = challenge.parameters.get('realm') ?? ''
  const own = new URL(registry.origin ?? nominalOrigin(registry.reference))
  const url = URL.canParse(realm) ? new URL(realm) : undefined
  if (url?.protocol === 'https:') return url
  // Plain HTTP with this machine itself is no leave to go out with it.
  const isWithin = !isLoopback(own) || (url !== undefined && isLoopback(url)) || registry.settings.tlsVerify === false
  if (url?.protocol === 'http:' && own.protocol === 'http:' && isWithin) return url
  throw misbehaving(own, 'sends for a token to an address that is not safe')
}

interface Asking {
  readonly request: TokenRequest
  readonly context: TransferContext
}

async function answerOf(registry: Registry, realm: URL, { request, context }: Asking): Promise<Answer> {
  const { credentials } = request
  if (credentials === undefined || !('identityToken' in credentials)) {
    return getToken(registry, realm, { request, context })
  }
  const { identityToken } = credentials
  const answer = await postToken(registry, realm, { request, context, identityToken })
  if (answer.status !== 404 && answer.status !== 405) return answer
  // It knows only the older way, in which an identity token is a password.
  dropBody(answer)
  return getToken(registry, realm, {
    request: { ...request, credentials: { user: '<token>', password: identityToken } },
    context,
  })
}

function getToken(registry: Registry, realm: URL, { request, context }: Asking): Promise<Answer> {
  const { challenge, scopes, credentials } = request
  const url = new URL(realm)
  const service = challenge.parameters.get('service')
  const headers: Record<string, string> = { accept: 'application/json' }
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  if (credentials !== undefined && 'user' in credentials) {
    url.searchParams.set('account', credentials.user)
    headers.authorization = basicHeader(credentials)
  }
  return follow(registry, url, { headers, context })
}

/** A redirect is not followed: the identity token is in the body. */
async function postToken(
  registry: Registry,
  realm: URL,
  { request: { challenge, scopes }, context, identityToken }: Asking & { identityToken: string },
): Promise<Answer> {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'forerun', refresh_token: identityToken })
  const service = challenge.parameters.get('service')
  if (service !== undefined) form.set('service', service)
  if (scopes.length > 0) form.set('scope', scopes.join(' '))
  const answer = await exchange(registry, realm, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
    context,
  })
  if (answer.status < 300 || answer.status >= 400) return answer
  dropBody(answer)
  throw misbehaving(realm, 'redirects one that asks for a token with an identity token')
}

/** What is 401 elsewhere (RFC 6749, section 5.2). */
function badGrant(answer: Answer, { registry, identity }: { registry: Registry; identity: string }): ForerunError {
  const { domain } = registry.reference
  dropBody(answer)
  return new ForerunError('unauthorized', `${answer.url.host} does not take ${identity} for ${domain} (400)`, {
    hint: `It may have run out. Log in anew: forerun login ${domain}`,
  })
}

// Messages of their own: those of valibot quote what was found.
const text = v.string('not a string')
const tokenSchema = v.object({
  token: absent(text),
  access_token: absent(text),
  expires_in: v.optional(v.unknown()),
})

function parseToken(bytes: Buffer, url: URL): { token: string; lifetime: number } {
  const document = parseTokenDocument(bytes, url)
  const token = document.token || document.access_token
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) throw misbehaving(url, 'answers without a token')
  return { token, lifetime: lifetimeOf(document.expires_in) }
}

/** In seconds. Some say it in a string, some say 0 or -1: they get the specification's default, as who says nothing. */
function lifetimeOf(expiresIn: unknown): number {
  const seconds = typeof expiresIn === 'string' && expiresIn.trim() !== '' ? Number(expiresIn) : expiresIn
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds : 60
}

function parseTokenDocument(bytes: Buffer, url: URL): v.InferOutput<typeof tokenSchema> {
  try {
    return parseJson(bytes, tokenSchema, { document: 'the token' })
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    // Without its cause, which quotes the text beside the fault.
    throw misbehaving(url, 'answers with something that is not a token')
  }
}
