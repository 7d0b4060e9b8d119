import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ForerunError } from '../errors.ts'
import { isDigest } from '../image/digest.ts'
import type { ImageLocation } from '../image/location.ts'
import { formatReference, parseReference, type Reference, repositoryName } from '../image/reference.ts'

/**
 * The scopes of policy.json in which an image lies, from the most specific to the least, without the transport's
 * default: containers-policy.json(5), "Supported transports and their scopes". Paths are absolute, through symbolic links.
 *
 * @throws the file system's error when a path's folder is not there.
 */
export function scopesOf(location: ImageLocation): string[] {
  switch (location.transport) {
    case 'docker':
    case 'docker-daemon': {
      const reference = referenceOf(location)
      return reference === undefined ? [] : [...namespaces(reference), ...wildcards(reference)]
    }
    case 'docker-archive':
      return []
    case 'containers-storage':
      return storageScopes(location.image)
    default:
      return parents(resolvedPath(location.path))
  }
}

/** The name against which a signature's is held; undefined for images that have none, as those in layouts. */
export function referenceOf(location: ImageLocation): Reference | undefined {
  switch (location.transport) {
    case 'docker':
      return location.reference
    case 'docker-daemon':
      return isImageId(location.image) ? undefined : named(location.image)
    case 'docker-archive':
      return location.image === undefined ? undefined : named(location.image)
    case 'containers-storage':
      return named(splitStore(location.image).name)
    default:
      return undefined
  }
}

/** A name that is all hexadecimal digits may be the beginning of an id: then it says nothing of where the image is from. */
function isImageId(image: string): boolean {
  return isDigest(image) || /^[0-9a-f]{12,64}$/.test(image)
}

function named(words: string): Reference | undefined {
  try {
    return parseReference(words)
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'reference') return undefined
    throw error
  }
}

/** The image, its repository, every namespace above, the registry. */
function namespaces(reference: Reference): string[] {
  const { domain, path, tag, digest } = reference
  const image = formatReference(
    digest === undefined ? { domain, path, tag: tag ?? 'latest' } : { domain, path, digest },
  )
  return [image, ...parents(repositoryName(reference))]
}

/** `*.example.com` and `*.com` for `registry.example.com:5000`: a port is never a part of them. */
function wildcards({ domain }: Reference): string[] {
  const labels = domain.replace(/:\d+$/, '').split('.')
  return labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)
}

/** A path and all above it, but not `/`, for which the transport's default stands. */
function parents(path: string): string[] {
  const found: string[] = []
  for (let left = path; left !== '' && left !== '/'; left = left.slice(0, Math.max(left.lastIndexOf('/'), 0))) {
    found.push(left)
  }
  return found
}

function resolvedPath(path: string): string {
  const absolute = resolve(path)
  try {
    return realpathSync(absolute)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return join(realpathSync(dirname(absolute)), basename(absolute))
  }
}

/** Where containers-storage keeps images unless its settings, or `[DRIVER@ROOT]` before a name, say otherwise. */
const usualStore = { driver: 'overlay', root: '/var/lib/containers/storage' }

function splitStore(image: string): { driver: string; root: string; name: string } {
  const [, driver = usualStore.driver, root, name = ''] = /^\[(?:([^@\]]*)@)?([^\]+]*)[^\]]*\](.*)$/s.exec(image) ?? []
  return root === undefined ? { ...usualStore, name: image } : { driver, root: root || usualStore.root, name }
}

function storageScopes(image: string): string[] {
  const { driver, root, name } = splitStore(image)
  const store = `[${driver}@${root}]`
  const reference = named(name)
  const names = reference === undefined ? [`@${name.replace(/^@/, '')}`] : storageNames(reference)
  return [...names.map((scope) => store + scope), store, `[${root}]`]
}

function storageNames(reference: Reference): string[] {
  const { domain, path, tag, digest } = reference
  const tagged = tag === undefined || digest === undefined ? [] : [formatReference({ domain, path, tag })]
  return [formatReference(reference), ...tagged, ...parents(repositoryName(reference))]
}
