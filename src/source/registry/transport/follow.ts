import type { Readable } from 'node:stream'
import { ForerunError } from '../../../errors.ts'
import { type Answer, dropBody, exchange, type Sending } from './answer.ts'
import { displayUrl, misbehaving } from './failure.ts'
import type { Registry } from './registry.ts'

/** A stream is made anew each time that it is sent. */
export type Body = Buffer | (() => Readable)

const mostRedirects = 10

/**
 * Sends a request and follows redirects by hand, as registries send to the storage behind them. The `Authorization` header
 * stays at the origin that it was made for, and nothing that began under TLS goes on without. What is written is sent
 * again only where the redirect keeps the method (307, 308).
 *
 * @throws as `exchange`, and ForerunError `registry` for a redirect that leads nowhere.
 */
export async function follow(
  registry: Registry,
  url: URL,
  { headers, body, ...sending }: Omit<Sending, 'body'> & { body?: Body },
): Promise<Answer> {
  const { authorization: _, ...anonymous } = headers
  const isReading = sending.method === undefined || sending.method === 'GET' || sending.method === 'HEAD'
  let target = url
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const sent = target.origin === url.origin ? headers : anonymous
    const content = typeof body === 'function' ? body() : body
    const answer = await exchange(registry, target, {
      ...sending,
      headers: sent,
      ...(content !== undefined && { body: content }),
    })
    const isRedirect = (isReading ? [301, 302, 303, 307, 308] : [307, 308]).includes(answer.status)
    if (!isRedirect) return answer
    dropBody(answer)
    target = redirectTarget(answer)
  }
  throw misbehaving(url, `redirects more than ${mostRedirects} times`)
}

function redirectTarget(answer: Answer): URL {
  const { url } = answer
  const location = answer.header('location')
  if (location === undefined || !URL.canParse(location, url.href)) throw misbehaving(url, 'redirects to no address')
  const target = new URL(location, url)
  if (target.protocol !== 'https:' && target.protocol !== 'http:') throw misbehaving(url, 'redirects to no web address')
  if (url.protocol === 'https:' && target.protocol === 'http:') {
    throw new ForerunError('registry', `${url.host} redirects from TLS to plain HTTP (${displayUrl(target)})`, {
      hint: 'The registry has to be set up to redirect to https addresses.',
    })
  }
  return target
}
