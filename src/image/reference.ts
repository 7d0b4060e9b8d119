import { ForerunError } from '../errors.ts'
import { type Digest, isDigest } from './digest.ts'

/** The full name of an image in a registry. It has a tag, a digest, or both; with both, the digest decides. */
export interface Reference {
  /** Host with an optional port: `docker.io`, `registry.example:5000`, `[::1]:5000`. */
  readonly domain: string
  /** Repository below the domain: `library/etcd`. */
  readonly path: string
  readonly tag?: string
  readonly digest?: Digest
}

/**
 * Reads an image's name as the containers tools do: no domain means docker.io, a single part there means `library/`,
 * neither tag nor digest means `latest`. The grammar is that of the distribution project's references.
 * `parseLocation` reads what may stand before a name.
 *
 * @throws ForerunError `reference` when the text is not such a name, or names something other than a registry.
 */
export function parseReference(text: string): Reference {
  const name = withoutScheme(text)
  const { repository, tag, digest } = splitName(name, text)
  const { domain, path } = splitDomain(repository)
  checkDomain(domain, text)
  checkPath(path, text)
  if (tag === undefined && digest === undefined) return { domain, path, tag: 'latest' }
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) }
}

/** The full name, from which `parseReference` makes the same reference: `docker.io/library/etcd:3.5`. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${repositoryName(reference)}${tag}${digest}`
}

/** The full name without tag and digest: `docker.io/library/etcd`. */
export function repositoryName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`
}

/** Whether the words of a reference leave out the registry: `etcd`, `coreos/etcd:3.5`. */
export function isShortName(text: string): boolean {
  return !isHost(firstPart(splitName(withoutScheme(text), text).repository))
}

/** Words of a user, fit for a message of one line. */
export function shownWords(text: string): string {
  const line = text.replace(/\p{Cc}/gu, '?')
  return line.length > 100 ? `${line.slice(0, 100)}…` : line
}

function withoutScheme(text: string): string {
  const scheme = /^https?:\/\//.exec(text)?.[0]
  if (scheme !== undefined) throw invalid(text, `Write it without ${scheme}`)
  return text
}

function splitName(name: string, text: string): { repository: string; tag?: string; digest?: Digest } {
  const at = name.indexOf('@')
  const digest = at < 0 ? undefined : name.slice(at + 1)
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(text, 'After @ comes sha256: with 64 or sha512: with 128 lower-case hexadecimal digits')
  }
  const tagged = at < 0 ? name : name.slice(0, at)
  // A colon before a slash belongs to a port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : tagged.slice(colon + 1)
  if (tag !== undefined && !/^\w[\w.-]{0,127}$/.test(tag)) {
    throw invalid(text, "A tag has at most 128 letters, digits, '_', '.' and '-', and starts with none of the last two")
  }
  const repository = colon < 0 ? tagged : tagged.slice(0, colon)
  return { repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) }
}

function splitDomain(repository: string): { domain: string; path: string } {
  const first = firstPart(repository)
  const hasHost = isHost(first)
  const domain = !hasHost || first === 'index.docker.io' ? 'docker.io' : first
  const path = hasHost ? repository.slice(first.length + 1) : repository
  return { domain, path: domain === 'docker.io' && !path.includes('/') ? `library/${path}` : path }
}

function firstPart(repository: string): string {
  return repository.slice(0, Math.max(repository.indexOf('/'), 0))
}

/** Only what cannot be a part of a path on docker.io is a host: `library/etcd` is none, `localhost/etcd` is. */
function isHost(first: string): boolean {
  return /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
}

const hostName = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
const domainGrammar = new RegExp(`^(?:${hostName}(?:\\.${hostName})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`)

function checkDomain(domain: string, text: string): void {
  // The grammar allows ports and addresses that do not exist; what makes no URL is caught here.
  if (domain.length <= 300 && domainGrammar.test(domain) && URL.canParse(`https://${domain}/`)) return
  throw invalid(text, `'${shownWords(domain)}' is not a registry's host with an optional port`)
}

const pathGrammar = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/

function checkPath(path: string, text: string): void {
  if (path.length > 255) throw invalid(text, 'The repository has more than 255 characters')
  if (/^library\/[0-9a-f]{64}$/.test(path)) {
    throw invalid(text, '64 hexadecimal digits are an image id; write NAME@sha256:DIGITS for a digest')
  }
  if (pathGrammar.test(path)) return
  if (pathGrammar.test(path.toLowerCase())) throw invalid(text, 'The repository must be lower case')
  throw invalid(text, "An image is written [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST], as in 'docker.io/library/etcd:3.5'")
}

function invalid(text: string, hint: string): ForerunError {
  return new ForerunError('reference', `'${shownWords(text)}' is not the name of an image`, { hint: `${hint}.` })
}
