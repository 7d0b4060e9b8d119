import { ForerunError } from '../../../errors.ts'
import { repositoryName } from '../../../image/reference.ts'
import type { Answer } from '../transport/answer.ts'
import { AttemptFailure } from '../transport/failure.ts'
import { refusal } from '../transport/refusal.ts'
import type { Registry } from '../transport/registry.ts'
import { type RepositoryRequest, requestFromRepository } from './request.ts'

export interface WriteRequest extends RepositoryRequest {
  /** For messages: `the manifest sha256:…`. */
  readonly what: string
  readonly accepted: readonly number[]
}

/**
 * As `requestFromRepository`, for a request that is part of writing: with the scope for it, and with errors that say what could not be
 * written and why the registry may not want it.
 */
export async function askToWrite(
  registry: Registry,
  path: string | URL,
  { what, accepted, ...request }: WriteRequest,
): Promise<Answer> {
  const answer = await requestFromRepository(registry, path, {
    scope: { actions: 'pull,push' },
    ...request,
    accepted: [...accepted, ...Object.keys(refusals).map(Number)],
  })
  if (accepted.includes(answer.status)) return answer
  throw await writeRefusal(answer, { registry, what, signal: request.context.signal })
}

/** The statuses that writing meets, and reading does not, or for other reasons. A full store does not get free in a minute. */
const refusals: Readonly<Record<number, (domain: string) => string>> = {
  400: () => 'The registry does not take such a thing: see whether it knows images of this kind.',
  401: loginHint,
  403: loginHint,
  404: (domain) => `See whether ${domain} wants the repository, or its project, to be made first.`,
  405: () => 'The registry, or a cache before it, is only for reading. Push to another one.',
  413: () => 'The registry, or a proxy before it, limits the size of what it is sent. Ask those who run it.',
  507: () => 'The registry, or its quota, is full. Ask those who run it.',
}

function loginHint(domain: string): string {
  return `Log in as a user who may push there: forerun login ${domain}`
}

async function writeRefusal(
  answer: Answer,
  { registry, what, signal }: { registry: Registry; what: string; signal: AbortSignal },
): Promise<ForerunError> {
  const { reference } = registry
  const reason = await refusal(answer, { registry, signal })
  const { code, message } = reason instanceof AttemptFailure ? reason.failure : reason
  const hint = refusals[answer.status]?.(reference.domain)
  return new ForerunError(
    answer.status === 404 ? 'image-not-found' : code,
    `${what} cannot be pushed to ${repositoryName(reference)}: ${message}`,
    { ...(hint !== undefined && { hint }), cause: reason },
  )
}
