import type { ForerunError } from '../../errors.ts'
import type { TransferContext } from '../source.ts'
import { type Answer, dropBody } from './answer.ts'
import { answerChallenge, currentAuthorization } from './authorization.ts'
import { follow } from './follow.ts'
import { findOrigin } from './origin.ts'
import { refusal } from './refusal.ts'
import type { Registry } from './registry.ts'

/**
 * One attempt to read something of the repository: `manifests/3.5`, `blobs/sha256:…`. The token exchange is part of it.
 * Answers with status 200, or 206 to a range.
 *
 * @throws AttemptFailure when another attempt may succeed, ForerunError otherwise; `missing` for 404.
 */
export async function requestFromRepository(
  registry: Registry,
  path: string,
  { headers, missing, context }: { headers: Record<string, string>; missing: ForerunError; context: TransferContext },
): Promise<Answer> {
  const url = new URL(`/v2/${registry.reference.path}/${path}`, await findOrigin(registry, context))
  const used = await currentAuthorization(registry, context)
  let answer = await follow(registry, url, { headers: authorized(headers, used), context })
  registry.reached = true
  if (answer.status === 401 && answer.url.origin === url.origin) {
    dropBody(answer)
    const challenge = answer.header('www-authenticate')
    const renewed = await answerChallenge(registry, context, { challenge, used })
    answer = await follow(registry, url, { headers: authorized(headers, renewed), context })
  }
  const isSuccess = answer.status === 200 || (answer.status === 206 && headers.range !== undefined)
  if (!isSuccess) throw await refusal(answer, { registry, signal: context.signal, missing })
  return answer
}

function authorized(headers: Record<string, string>, authorization: string | undefined): Record<string, string> {
  return authorization === undefined ? headers : { ...headers, authorization }
}
