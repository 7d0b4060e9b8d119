import type { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import { answerChallenge, authorizeUnasked, currentAuthorization } from '../auth/authorization.ts'
import { type Answer, dropBody, type Sending } from '../transport/answer.ts'
import { type Body, follow } from '../transport/follow.ts'
import { findOrigin } from '../transport/origin.ts'
import { refusal } from '../transport/refusal.ts'
import type { Registry, Scope } from '../transport/registry.ts'

export interface RepositoryRequest extends Omit<Sending, 'body' | 'headers'> {
  readonly headers?: Record<string, string>
  /** A stream is made anew by its function each time that the request is sent: for a redirect, and after a 401. */
  readonly body?: Body
  /** What the registry must allow (distribution specification, "Token Authentication"). Default `pull` of the repository. */
  readonly scope?: Scope
  /** Statuses that are an answer and no failure. Default 200, and 203, which is that through a proxy. */
  readonly accepted?: readonly number[]
  /** What a 404 means, where it is not accepted. */
  readonly missing?: ForerunError
}

/**
 * One attempt to ask something of the repository: `manifests/3.5`, `blobs/sha256:…`, or at an address that it has given, as an
 * upload has. The token exchange is part of it; an address at another origin is not told the credentials. Nothing is tried again here:
 * whether a failed upload may be, its sender knows.
 *
 * @throws AttemptFailure when another attempt may succeed, ForerunError otherwise; `missing` for 404.
 */
export async function requestFromRepository(
  registry: Registry,
  path: string | URL,
  { headers = {}, scope = { actions: 'pull' }, accepted, missing, ...sending }: RepositoryRequest,
): Promise<Answer> {
  const { context } = sending
  const origin = await findOrigin(registry, context)
  const url = typeof path === 'string' ? new URL(`/v2/${registry.reference.path}/${path}`, origin) : path
  const isOwn = url.origin === origin
  const used = isOwn ? await currentAuthorization(registry, context, scope) : undefined
  let answer = await follow(registry, url, { ...sending, headers: authorized(headers, used) })
  registry.reached = true
  if (isOwn && answer.url.origin === origin) {
    const renewed = await renewedAuthorization(registry, context, { answer, used, scope })
    if (renewed !== undefined) {
      dropBody(answer)
      answer = await follow(registry, url, { ...sending, headers: authorized(headers, renewed) })
    }
  }
  if (!(accepted ?? [200, 203]).includes(answer.status)) {
    throw await refusal(answer, { registry, signal: context.signal, ...(missing !== undefined && { missing }) })
  }
  return answer
}

/** What to send the request again with; undefined where the answer stands. */
async function renewedAuthorization(
  registry: Registry,
  context: TransferContext,
  { answer, used, scope }: { answer: Answer; used: string | undefined; scope: Scope },
): Promise<string | undefined> {
  if (answer.status === 401) {
    const challenge = answer.header('www-authenticate')
    return answerChallenge(registry, context, { challenge, used, scope })
  }
  // Registries hide from nobody in particular what only some may see.
  const mayBeHidden = used === undefined && (answer.status === 403 || answer.status === 404)
  return mayBeHidden ? authorizeUnasked(registry, context, scope) : undefined
}

function authorized(headers: Record<string, string>, authorization: string | undefined): Record<string, string> {
  return authorization === undefined ? headers : { ...headers, authorization }
}
