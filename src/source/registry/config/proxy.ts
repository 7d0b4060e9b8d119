import { BlockList, isIP, isIPv6 } from 'node:net'
import { ForerunError } from '../../../errors.ts'

/**
 * The proxy through which to ask for an address, as the containers tools choose it: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of
 * the address, unless `NO_PROXY` has its host. The names may be in lower case; upper case goes first. This host itself is
 * never asked through a proxy.
 *
 * `NO_PROXY` is a list parted by commas: `*`; a host, which stands for those below it, too; `.example.com`, for only those below it;
 * an IP address or CIDR range; each with an optional `:PORT`.
 *
 * @throws ForerunError `settings` for something that is no proxy's address; it is not quoted, since it may hold a password.
 */
export function proxyFor(url: URL, environment: Readonly<Record<string, string | undefined>>): URL | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const text = environment[name] || environment[name.toLowerCase()]
  if (!text || isLoopback(hostOf(url))) return undefined
  const proxy = parseProxy(text)
  if (proxy === undefined) {
    throw new ForerunError('settings', `${name} is not the address of a proxy`, {
      hint: `Write ${name}=http://HOST:PORT; https://, socks5:// and a user and password before the host are understood.`,
    })
  }
  const exceptions = (environment.NO_PROXY || environment.no_proxy || '').toLowerCase().split(',')
  return exceptions.some((exception) => isExcepted(url, exception.trim())) ? undefined : proxy
}

/** `[SCHEME://][USER:PASSWORD@]HOST[:PORT]`; undefined when it is none of ours. */
export function parseProxy(text: string): URL | undefined {
  const whole = text.includes('://') ? text : `http://${text}`
  const url = /^(?:https?|socks5h?):/i.test(whole) && URL.canParse(whole) ? new URL(whole) : undefined
  return url !== undefined && url.hostname !== '' && isDecodable(url) ? url : undefined
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(`${username}${password}`)
    return true
  } catch (error) {
    if (error instanceof URIError) return false
    throw error
  }
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function isExcepted(url: URL, exception: string): boolean {
  if (exception === '') return false
  if (exception === '*') return true
  const host = hostOf(url)
  if (exception.includes('/')) return isInRange(host, exception)
  const { wanted, port } = splitPort(exception)
  if (port !== undefined && port !== portOf(url)) return false
  if (isIP(wanted) !== 0) return isInRange(host, `${wanted}/${isIPv6(wanted) ? 128 : 32}`)
  const domain = wanted.replace(/^\*(?=\.)/, '')
  if (domain === '') return false
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

/** `HOST`, `HOST:PORT`, `[::1]:PORT`, `[::1]`, `::1` */
function splitPort(text: string): { wanted: string; port: string | undefined } {
  if (isIPv6(text)) return { wanted: text, port: undefined }
  const [, host = text, port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? []
  return { wanted: host.replace(/^\[|\]$/g, ''), port }
}

function portOf({ protocol, port }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80')
}

function isInRange(host: string, range: string): boolean {
  const [address = '', prefix = ''] = range.split('/')
  const bits = Number(prefix)
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  const isRange = isIP(address) !== 0 && /^\d+$/.test(prefix) && bits <= (family === 'ipv6' ? 128 : 32)
  if (!isRange || isIP(host) !== (family === 'ipv6' ? 6 : 4)) return false
  const list = new BlockList()
  list.addSubnet(address, bits, family)
  return list.check(host, family)
}
