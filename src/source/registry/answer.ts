import type { Readable } from 'node:stream'
import { type Dispatcher, request } from 'undici'
import { ForerunError } from '../../errors.ts'
import type { TransferContext } from '../source.ts'
import { displayUrl, transportFailure } from './failure.ts'
import type { Registry } from './registry.ts'

/** The answer to one request. Its body must be read to the end or dropped. */
export interface Answer {
  readonly url: URL
  readonly status: number
  /** Lower-case names. Of a header that came more than once the values are joined by commas. */
  header(name: string): string | undefined
  readonly body: Dispatcher.ResponseData['body']
}

/** What a request says beside its address. */
export interface Sending {
  /** Default GET. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers: Record<string, string>
  readonly body?: Buffer | Readable
  readonly context: TransferContext
}

/**
 * Sends one request and waits for the answer's headers. Redirects are not followed.
 *
 * @throws ForerunError or AttemptFailure for faults of the network, ForerunError `interrupted` when the signal aborts.
 */
export async function exchange(
  registry: Registry,
  url: URL,
  { method = 'GET', headers, body, context }: Sending,
): Promise<Answer> {
  const { userAgent, headersTimeout, idleTimeout } = registry.settings
  const { signal, emit } = context
  const started = performance.now()
  try {
    const response = await request(url, {
      dispatcher: registry.dispatcher,
      method,
      ...(body !== undefined && { body }),
      signal,
      headersTimeout,
      bodyTimeout: idleTimeout,
      headers: { 'user-agent': userAgent, 'accept-encoding': 'identity', ...headers },
    })
    // What goes wrong with the body reaches its reader. One that is dropped has no reader, and must not end the process.
    response.body.on('error', () => {})
    const { statusCode: status } = response
    const milliseconds = Math.round(performance.now() - started)
    emit({ type: 'debug', message: method, fields: { url: displayUrl(url), status, milliseconds } })
    return { url, status, header: (name) => joined(response.headers[name]), body: response.body }
  } catch (error) {
    throw failureOf(error, url, signal)
  }
}

/** The body as it comes, no faster than it is taken. Leaving early closes the connection. Throws as `exchange` does. */
export async function* chunksOf(answer: Answer, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of answer.body) yield chunk as Buffer
  } catch (error) {
    throw failureOf(error, answer.url, signal)
  }
}

/** The whole body. @throws ForerunError `limit` as soon as it is known to have more than `limit` bytes. */
export async function wholeBody(
  answer: Answer,
  { limit, signal, document }: { limit: number; signal: AbortSignal; document: string },
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = Number(answer.header('content-length') ?? 0)
  if (length > limit) {
    answer.body.destroy()
    throw tooLong(answer.url, { limit, document })
  }
  length = 0
  for await (const chunk of chunksOf(answer, signal)) {
    length += chunk.length
    if (length > limit) throw tooLong(answer.url, { limit, document })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Gives up an answer that nobody reads: a short rest is read so that the connection can be used again. */
export function dropBody(answer: Answer): void {
  // Resolves whatever happens to the body.
  void answer.body.dump({ limit: 16_384 })
}

/** @throws ForerunError `interrupted` when the signal has aborted. */
export function checkInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new ForerunError('interrupted', 'the transfer was interrupted', { cause: signal.reason })
}

function failureOf(error: unknown, url: URL, signal: AbortSignal): unknown {
  checkInterrupted(signal)
  return transportFailure(error, url)
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}

function tooLong(url: URL, { limit, document }: { limit: number; document: string }): ForerunError {
  return new ForerunError('limit', `${document} of ${url.host} has more than ${limit} bytes`, {
    hint: 'No image needs that much; check what was pushed there.',
  })
}
