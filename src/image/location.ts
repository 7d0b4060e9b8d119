import { ForerunError } from '../errors.ts'
import {
  formatReference,
  isShortName,
  parseReference,
  type Reference,
  repositoryName,
  shownWords,
} from './reference.ts'

/** Where an image is, in the spelling of containers-transports(5); `docker` is a registry. */
export type ImageLocation =
  | RegistryLocation
  /** `image` is a name of the layout's index (annotation `org.opencontainers.image.ref.name`), or `@N`, the N-th image. */
  | { readonly transport: 'oci' | 'oci-archive'; readonly path: string; readonly image: string | undefined }
  /** `image` is one of the archive's names, or `@N`. */
  | { readonly transport: 'docker-archive'; readonly path: string; readonly image: string | undefined }
  /** `image` is a name or an id there. */
  | { readonly transport: 'docker-daemon' | 'containers-storage'; readonly image: string }
  | { readonly transport: 'dir'; readonly path: string }

export interface RegistryLocation {
  readonly transport: 'docker'
  /** As it would be at docker.io when `shortName` is there. */
  readonly reference: Reference
  /** The words as written when they name no registry: `etcd`, `coreos/etcd:3.5`. registries.conf may say where those are. */
  readonly shortName: string | undefined
}

export type Transport = ImageLocation['transport']

/**
 * Reads where an image is: `[docker://]NAME` in a registry, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
 * `docker-archive:FILE[:NAME]`, `docker-daemon:NAME`, `containers-storage:NAME`, `dir:DIR`. The old tool's spellings mean
 * what they did: `oci:NAME` a registry (a folder begins with `/` or `.`), `docker:NAME` the daemon, `dockertar:FILE`.
 *
 * @throws ForerunError `reference`
 */
export function parseLocation(text: string): ImageLocation {
  const colon = text.indexOf(':')
  const prefix = text.slice(0, Math.max(colon, 0))
  const rest = text.slice(colon + 1)
  switch (prefix) {
    case 'oci':
      return /^[/.]/.test(rest) ? { transport: 'oci', ...splitPath(rest, text) } : registryLocation(rest)
    case 'oci-archive':
      return { transport: 'oci-archive', ...splitPath(rest, text) }
    case 'docker-archive':
    case 'dockertar':
      return { transport: 'docker-archive', ...splitPath(rest, text) }
    case 'docker':
      if (rest.startsWith('//')) return registryLocation(rest.slice(2))
      return { transport: 'docker-daemon', image: nonEmpty(rest, text) }
    case 'docker-daemon':
    case 'containers-storage':
      return { transport: prefix, image: nonEmpty(rest, text) }
    case 'dir':
      return { transport: 'dir', path: nonEmpty(rest, text) }
    case 'ostree':
      throw new ForerunError(
        'reference',
        `'${shownWords(text)}' is in an ostree repository, which forerun does not read`,
        {
          hint: 'Name the image as a registry has it.',
        },
      )
    default:
      return registryLocation(text)
  }
}

/** As `formatLocation`, with the registry that stands for a name without one. */
export function formatFullLocation(location: ImageLocation): string {
  return location.transport === 'docker' ? formatReference(location.reference) : formatLocation(location)
}

/** As `parseLocation` reads it; short names stay short. */
export function formatLocation(location: ImageLocation): string {
  switch (location.transport) {
    case 'docker':
      return location.shortName ?? formatReference(location.reference)
    case 'docker-daemon':
    case 'containers-storage':
      return `${location.transport}:${location.image}`
    case 'dir':
      return `dir:${location.path}`
    default:
      return `${location.transport}:${location.path}${location.image === undefined ? '' : `:${location.image}`}`
  }
}

/** The repository as words named it, without its tag: short where they were. undefined where a repository is not what they named. */
export function spelledRepository(location: ImageLocation): string | undefined {
  if (location.transport === 'docker') {
    return location.shortName?.replace(/[@:].*$/, '') ?? repositoryName(location.reference)
  }
  if (location.transport !== 'docker-daemon') return undefined
  return /^[a-z0-9][a-z0-9._/-]*(?::[\w.-]+)?$/.test(location.image) ? location.image.replace(/:.*$/, '') : undefined
}

/**
 * What a container is called when the user does not say: the last part of the image's name, with `-TAG` unless the tag is
 * `latest`; of a folder or an archive without a name, its own name. It may be none that a container can have;
 * `parseContainerName` tells.
 */
export function defaultContainerName(location: ImageLocation): string {
  switch (location.transport) {
    case 'docker':
      return nameAndTag(formatReference(location.reference))
    case 'docker-daemon':
      return nameAndTag(location.image)
    case 'containers-storage':
      // Which storage it is may stand in brackets.
      return nameAndTag(location.image.replace(/^\[[^\]]*\]/, ''))
    case 'dir':
      return fileName(location.path)
    default:
      return nameInFile(location)
  }
}

function registryLocation(words: string): RegistryLocation {
  const reference = parseReference(words)
  return { transport: 'docker', reference, shortName: isShortName(words) ? words : undefined }
}

/** Paths hold no colon, as the containers tools have it. */
function splitPath(rest: string, text: string): { path: string; image: string | undefined } {
  const colon = rest.indexOf(':')
  const path = nonEmpty(colon < 0 ? rest : rest.slice(0, colon), text)
  const image = colon < 0 ? undefined : nonEmpty(rest.slice(colon + 1), text)
  if (image?.startsWith('@') && !/^@\d+$/.test(image)) throw unnamed(text)
  return { path, image }
}

function nonEmpty(part: string, text: string): string {
  if (part !== '' && !part.includes('\0')) return part
  throw unnamed(text)
}

function unnamed(text: string): ForerunError {
  return new ForerunError('reference', `'${shownWords(text)}' names no image`, {
    hint: 'Write for example oci:/srv/etcd:3.5, docker-archive:/srv/etcd.tar, docker-daemon:etcd:3.5 or registry.example/etcd:3.5.',
  })
}

function nameInFile({ transport, path, image }: Extract<ImageLocation, { path: string; image: unknown }>): string {
  const file = fileName(path)
  if (image === undefined || image.startsWith('@')) return file
  // In a layout the name may be no more than a tag: oci:/srv/etcd:3.5.
  const isTag = transport !== 'docker-archive' && !/[/:]/.test(image)
  return nameAndTag(isTag ? `${file}:${image}` : image)
}

function nameAndTag(name: string): string {
  const last = name.slice(name.lastIndexOf('/') + 1).replace(/@.*$/, '')
  const [repository = '', tag = 'latest'] = last.split(':')
  return tag === 'latest' ? repository : `${repository}-${tag}`
}

function fileName(path: string): string {
  const last = path.replace(/\/+$/, '').replace(/^.*\//, '')
  return last.replace(/\.(?:tar(?:\.(?:gz|zst|bz2|xz))?|tgz|oci)$/, '')
}
