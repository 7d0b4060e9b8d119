import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { absent } from '../../image/descriptor.ts'
import { parseJson } from '../../image/json.ts'
import { repositoryName } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import { wholeBody } from './answer.ts'
import { parseChallenges } from './challenge.ts'
import { misbehaving } from './failure.ts'
import { follow } from './follow.ts'
import { refusal } from './refusal.ts'
import type { Registry, Scope } from './registry.ts'

/**
 * The `Authorization` header to send to the registry: none before it asked for one, and a new token when the one at
 * hand runs out.
 */
export async function currentAuthorization(
  registry: Registry,
  context: TransferContext,
  scope: Scope,
): Promise<string | undefined> {
  const authorization = registry.authorizations.get(scopeWords(registry, scope))
  if (authorization === undefined) return undefined
  if (performance.now() < authorization.expires) return authorization.header
  return renewAuthorization(registry, context, { challenge: authorization.challenge, scope })
}

/**
 * Answers a 401: exchanges the challenge for a token (distribution specification, "Token Authentication"), anonymously.
 * `used` is the header that the registry did not accept.
 *
 * @throws ForerunError `unauthorized` when the registry asks for something that forerun does not have.
 */
export async function answerChallenge(
  registry: Registry,
  context: TransferContext,
  { challenge, used, scope }: { challenge: string | undefined; used: string | undefined; scope: Scope },
): Promise<string> {
  const authorization = registry.authorizations.get(scopeWords(registry, scope))
  // Another request, sent at the same time, may have got a new one already.
  if (authorization !== undefined && authorization.header !== used) return authorization.header
  return renewAuthorization(registry, context, { challenge: challenge ?? '', scope })
}

async function renewAuthorization(
  registry: Registry,
  context: TransferContext,
  { challenge, scope }: { challenge: string; scope: Scope },
): Promise<string> {
  const url = tokenUrl(registry, challenge, scope)
  const requested = performance.now()
  const answer = await follow(registry, url, { headers: { accept: 'application/json' }, context })
  if (answer.status !== 200) throw await refusal(answer, { registry, signal: context.signal })
  const { documentLimit: limit } = registry.settings
  const bytes = await wholeBody(answer, { limit, signal: context.signal, document: 'the token' })
  const { token, lifetime } = parseToken(bytes, url)
  // The last tenth is left for the way of the request.
  const expires = requested + lifetime * 900
  const header = `Bearer ${token}`
  registry.authorizations.set(scopeWords(registry, scope), { header, expires, challenge })
  return header
}

/** Asked for by the repository that is wanted, not by what the challenge says: that could be any other. */
function scopeWords({ reference: { path } }: Registry, { actions, mountFrom }: Scope): string {
  const own = `repository:${path}:${actions}`
  return mountFrom === undefined ? own : `${own} repository:${mountFrom}:pull`
}

function tokenUrl(registry: Registry, challenge: string, scope: Scope): URL {
  const { reference, origin } = registry
  const bearer = parseChallenges(challenge).find(({ scheme }) => scheme === 'bearer')
  const realm = bearer?.parameters.get('realm')
  if (bearer === undefined || realm === undefined) {
    throw new ForerunError(
      'unauthorized',
      `${reference.domain} wants a user and a password for ${repositoryName(reference)}`,
      {
        hint: 'Check the spelling of the image; registries hide what only some may read.',
      },
    )
  }
  const registryUrl = new URL(origin ?? `https://${reference.domain}`)
  const url = URL.canParse(realm) ? new URL(realm) : undefined
  // A token that anybody on the way could read or replace would undo what TLS gives.
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && registryUrl.protocol === 'http:')
  if (url === undefined || !isSafe) throw misbehaving(registryUrl, 'sends for a token to an address that is not safe')
  const service = bearer.parameters.get('service')
  if (service !== undefined) url.searchParams.set('service', service)
  for (const words of scopeWords(registry, scope).split(' ')) url.searchParams.append('scope', words)
  return url
}

const tokenSchema = v.object({
  token: absent(v.string()),
  access_token: absent(v.string()),
  expires_in: absent(v.pipe(v.number(), v.minValue(0))),
})

function parseToken(bytes: Buffer, url: URL): { token: string; lifetime: number } {
  const document = parseTokenDocument(bytes, url)
  const token = document.token || document.access_token
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) throw misbehaving(url, 'answers without a token')
  // The specification's default, and for registries that say 0 when they mean it.
  return { token, lifetime: document.expires_in || 60 }
}

function parseTokenDocument(bytes: Buffer, url: URL): v.InferOutput<typeof tokenSchema> {
  try {
    return parseJson(bytes, tokenSchema, { document: 'the token' })
  } catch (cause) {
    if (!(cause instanceof ForerunError)) throw cause
    throw new ForerunError('registry', `${url.host} answers with something that is not a token`, {
      hint: misbehaving(url, '').hint ?? '',
      cause,
    })
  }
}
