import { misbehaving } from '../transport/failure.ts'

/**
 * Where a list goes on: `Link: <ADDRESS>; rel="next"` (RFC 8288). It stays where it began.
 *
 * @param page.url the address of the page before.
 * @param list what is listed, in the registry's words: `its tags`.
 * @throws ForerunError `registry` when it goes on elsewhere.
 */
export function nextPage({ url, link }: { url: URL; link: string | undefined }, list: string): URL | undefined {
  const target = /<([^<>]*)>\s*;\s*rel="?next"?/i.exec(link ?? '')?.[1]
  if (target === undefined) return undefined
  const next = URL.canParse(target, url.href) ? new URL(target, url) : undefined
  if (next?.origin !== url.origin) throw misbehaving(url, `continues ${list} elsewhere`)
  return next
}
