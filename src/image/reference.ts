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
 * neither tag nor digest means `latest`. `docker://` before it, or `oci:` in the old tool's spelling, changes nothing.
 * The grammar is that of the distribution project's references.
 *
 * @throws ForerunError `reference` when the text is not such a name, or names something other than a registry.
 */
export function parseReference(text: string): Reference {
  const name = withoutTransport(text)
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

/**
 * What a container is called when the user does not say: the last part of the path, with `-TAG` unless the tag is
 * `latest`. It may be too long for a container; `parseContainerName` tells.
 */
export function defaultContainerName(reference: Reference): string {
  const last = reference.path.slice(reference.path.lastIndexOf('/') + 1)
  return reference.tag === undefined || reference.tag === 'latest' ? last : `${last}-${reference.tag}`
}

/** Prefixes, of this tool or of others, that name a place which is no registry. */
const otherPlaces: Readonly<Record<string, string>> = {
  docker: 'the Docker daemon',
  'docker-daemon': 'the Docker daemon',
  dockertar: 'an archive made by docker save',
  'docker-archive': 'an archive made by docker save',
  'oci-archive': 'an archive of an OCI layout',
  'containers-storage': "Podman's storage",
  dir: 'a folder of blobs',
}

function withoutTransport(text: string): string {
  if (text.startsWith('docker://')) return text.slice('docker://'.length)
  const scheme = /^https?:\/\//.exec(text)?.[0]
  if (scheme !== undefined) throw invalid(text, `Write it without ${scheme}`)
  const colon = text.indexOf(':')
  const prefix = text.slice(0, Math.max(colon, 0))
  const rest = text.slice(colon + 1)
  if (prefix === 'oci') {
    if (/^[/.]/.test(rest)) throw elsewhere(text, "an OCI layout's folder")
    return rest
  }
  const place = Object.hasOwn(otherPlaces, prefix) ? otherPlaces[prefix] : undefined
  if (place !== undefined) throw elsewhere(text, place)
  return text
}

function elsewhere(text: string, place: string): ForerunError {
  return new ForerunError('reference', `'${shown(text)}' names ${place}; this version reads images from registries`, {
    hint: "Push the image to a registry and write its name there, as in 'registry.example/etcd:3.5' or 'docker.io/library/docker:27'.",
  })
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
  const slash = repository.indexOf('/')
  const first = repository.slice(0, Math.max(slash, 0))
  // Only what cannot be a part of a path on docker.io is a host: `library/etcd` is none, `localhost/etcd` is.
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const domain = !isHost || first === 'index.docker.io' ? 'docker.io' : first
  const path = isHost ? repository.slice(slash + 1) : repository
  return { domain, path: domain === 'docker.io' && !path.includes('/') ? `library/${path}` : path }
}

const hostName = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
const domainGrammar = new RegExp(`^(?:${hostName}(?:\\.${hostName})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`)

function checkDomain(domain: string, text: string): void {
  // The grammar allows ports and addresses that do not exist; what makes no URL is caught here.
  if (domain.length <= 300 && domainGrammar.test(domain) && URL.canParse(`https://${domain}/`)) return
  throw invalid(text, `'${shown(domain)}' is not a registry's host with an optional port`)
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
  return new ForerunError('reference', `'${shown(text)}' is not the name of an image`, { hint: `${hint}.` })
}

function shown(text: string): string {
  const line = text.replace(/\p{Cc}/gu, '?')
  return line.length > 100 ? `${line.slice(0, 100)}…` : line
}
