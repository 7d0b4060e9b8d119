import { STATUS_CODES } from 'node:http'
import { ForerunError } from '../../../errors.ts'
import { type Reference, repositoryName } from '../../../image/reference.ts'
import { type Answer, chunksOf } from './answer.ts'
import { AttemptFailure } from './failure.ts'
import type { Registry } from './registry.ts'
import { proxyUnauthorized } from './tunnel.ts'

/**
 * What an answer that is no success means; reads and ends its body. Returns the error to throw: an AttemptFailure for
 * 408, 429 and 5xx; `missing` for 404; ForerunError `unauthorized` for 401 and 403, and `registry` for the rest.
 * `identity` is who was refused, in words, where it is not whoever the registry has authorized.
 */
export async function refusal(
  answer: Answer,
  {
    registry,
    signal,
    missing,
    identity = [...registry.authorizations.values()].at(-1)?.identity,
  }: { registry: Registry; signal: AbortSignal; missing?: ForerunError; identity?: string | undefined },
): Promise<ForerunError | AttemptFailure> {
  const { status, url } = answer
  const said = `${status} ${STATUS_CODES[status] ?? ''}${await detail(answer, signal)}`.trim()
  const proxy = status === 407 ? registry.settings.proxy(url) : undefined
  if (proxy !== undefined) return proxyUnauthorized(proxy)
  if (status === 404 && missing !== undefined) return missing
  if (status === 401 || status === 403) return unauthorized(registry.reference, { host: url.host, identity, said })
  if (status === 429) {
    const retryAfter = retryAfterOf(answer)
    const wait = retryAfter === undefined ? 'later' : `in ${Math.ceil(retryAfter / 1000)} s`
    const failure = new ForerunError('registry', `${url.host} has had too many requests (${said})`, {
      hint: `Try again ${wait}.`,
    })
    return new AttemptFailure(failure, { retryAfter })
  }
  const failure = new ForerunError('registry', `${url.host} answers with an error (${said})`, {
    hint: 'Try again later, or ask those who run the registry.',
  })
  const isTemporary = status === 408 || (status >= 500 && status !== 501 && status !== 505)
  return isTemporary ? new AttemptFailure(failure, { retryAfter: retryAfterOf(answer) }) : failure
}

function unauthorized(
  reference: Reference,
  { host, identity, said }: { host: string; identity: string | undefined; said: string },
): ForerunError {
  const { domain, path } = reference
  const again = `forerun login ${domain}`
  if (path === '') {
    return new ForerunError('unauthorized', `${domain} does not take ${identity ?? 'one without a name'} (${said})`, {
      hint: 'Check the user and the password. Some registries want a token, made on their pages, in place of the password.',
    })
  }
  const subject = repositoryName(reference)
  if (identity === undefined) {
    return new ForerunError('unauthorized', `${host} refuses access to ${subject} (${said})`, {
      hint: `Check the spelling of the image; registries hide what only some may read. To log in: ${again}`,
    })
  }
  return new ForerunError('unauthorized', `${host} refuses ${identity} access to ${subject} (${said})`, {
    hint: `Check the spelling of the image, the password, and what the user may do. To log in anew: ${again}`,
  })
}

/** The registry's own words (distribution specification, "Error Codes"), made one safe line. */
async function detail(answer: Answer, signal: AbortSignal): Promise<string> {
  const { errors } = await errorDocument(answer, signal)
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined
  if (typeof first !== 'object' || first === null) return ''
  const { code, message } = first as { code?: unknown; message?: unknown }
  const words = [message, code].find((text) => typeof text === 'string' && text !== '')
  if (typeof words !== 'string') return ''
  return `: ${words.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ').slice(0, 200)}`
}

async function errorDocument(answer: Answer, signal: AbortSignal): Promise<{ errors?: unknown }> {
  const text = await beginning(answer, signal)
  try {
    const document: unknown = JSON.parse(text)
    return typeof document === 'object' && document !== null ? document : {}
  } catch (error) {
    // Proxies answer in HTML; the status alone tells then.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

async function beginning(answer: Answer, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  const deadline = performance.now() + 5_000
  try {
    for await (const chunk of chunksOf(answer, signal)) {
      chunks.push(chunk)
      length += chunk.length
      if (length > 16_384 || performance.now() > deadline) break
    }
  } catch (error) {
    // The words were cut off. The status, which came before them, matters more.
    if (!(error instanceof AttemptFailure)) throw error
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Milliseconds, from seconds or a date (RFC 9110, section 10.2.3). */
function retryAfterOf(answer: Answer): number | undefined {
  const value = answer.header('retry-after')?.trim()
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}
