import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import { AttemptFailure, displayUrl, isCut, transportFailure } from './failure.ts'
import type { Registry } from './registry.ts'

/** The answer to one request. Its body must be read to the end or dropped. */
export interface Answer {
  readonly url: URL
  readonly status: number
  /** Lower-case names. Of a header that came more than once the values are joined by commas. */
  header(name: string): string | undefined
  readonly body: Dispatcher.ResponseData['body']
  /** Milliseconds that its body may pause, and in which it has to get on. */
  readonly idleTimeout: number
  /** Milliseconds for a document as a whole. */
  readonly documentTimeout: number
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
  const limit = headersLimit(registry)
  if (body instanceof Readable) body.once('close', limit.start)
  else limit.start()
  try {
    const response = await registry.dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      ...(body !== undefined && { body }),
      signal: AbortSignal.any([signal, limit.signal]),
      headersTimeout,
      bodyTimeout: idleTimeout,
      headers: { 'user-agent': userAgent, 'accept-encoding': 'identity', ...headers },
    })
    // What goes wrong with the body reaches its reader. One that is dropped has no reader, and must not end the process.
    response.body.on('error', () => {})
    const { statusCode: status } = response
    const milliseconds = Math.round(performance.now() - started)
    emit({ type: 'debug', message: method, fields: { url: displayUrl(url), status, milliseconds } })
    const documentTimeout = headersTimeout + idleTimeout
    const header = (name: string) => joined(response.headers[name])
    return { url, status, header, body: response.body, idleTimeout, documentTimeout }
  } catch (error) {
    throw rejectedClient(failureOf(error, url, signal), registry)
  } finally {
    limit.end()
  }
}

/**
 * A server may refuse the client's certificate, or its lack, only after the client takes TLS for established: it looks as if the
 * connection was cut, and a cut is worth another attempt.
 */
function rejectedClient(failure: unknown, { reference, reached, secured }: Registry): unknown {
  if (reached || !secured || !isCut(failure)) return failure
  const { domain } = reference
  return new AttemptFailure(
    new ForerunError('registry', `${domain} ended the TLS connection before it answered`, {
      hint: `If it wants a certificate of this host, put NAME.cert and NAME.key into /etc/containers/certs.d/${domain}.`,
      cause: failure,
    }),
  )
}

/**
 * Ends a request whose answer does not begin, whatever else the server sends: hints (status 103) start undici's own timer anew.
 * Connecting may be three things: with a proxy, with the registry through it, and TLS.
 */
function headersLimit({ settings }: Registry): { signal: AbortSignal; start: () => void; end: () => void } {
  const controller = new AbortController()
  const silence = Object.assign(new Error('no answer'), { code: 'UND_ERR_HEADERS_TIMEOUT' })
  const milliseconds = settings.headersTimeout + 3 * settings.connectTimeout
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  return {
    signal: controller.signal,
    start() {
      if (!isOver) timer = setTimeout(() => controller.abort(silence), milliseconds)
    },
    end() {
      isOver = true
      clearTimeout(timer)
    },
  }
}

/**
 * The body as it comes, no faster than it is taken. Leaving early closes the connection. Throws as `exchange` does; a body that
 * drips counts as one that has stopped.
 */
export async function* chunksOf(answer: Answer, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  try {
    let [waited, received, asked] = [0, 0, performance.now()]
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      waited += performance.now() - asked
      received += chunk.length
      if (waited >= answer.idleTimeout) {
        if (received < (waited / 1000) * leastRate) throw tooSlow(answer.url)
        waited = 0
        received = 0
      }
      yield chunk
      asked = performance.now()
    }
  } catch (error) {
    throw failureOf(error, answer.url, signal)
  }
}

/** Bytes in a second. Whoever sends less would keep a pull waiting for days, a byte now and then. */
const leastRate = 1_000

/** A server that drips. */
export function tooSlow(url: URL): AttemptFailure {
  const failure = new ForerunError(
    'registry',
    `${url.host} sends too slowly: less than ${leastRate} bytes in a second`,
    {
      hint: 'Check the network and the registry, then try again.',
    },
  )
  return new AttemptFailure(failure)
}

/** Gives up an answer that nobody reads: a short rest that comes soon is read so that the connection can be used again. */
export function dropBody(answer: Answer): void {
  // Whatever happens to the body, nobody is waiting for it.
  answer.body.dump({ limit: 16_384, signal: AbortSignal.timeout(2_000) }).catch(() => {})
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
