import { ForerunError } from '../../errors.ts'
import { spelledRepository } from '../../image/location.ts'
import { formatReference, isShortName, parseReference, repositoryName } from '../../image/reference.ts'
import { allDeploymentFolders, readInfo } from '../../store/deployment.ts'
import { openImage, type StoredImage } from '../../store/image.ts'
import { type ImageRecord, readImageIndex, writeImageIndex } from '../../store/image-index.ts'
import { nameImage, spelledName, spellingsOf, withoutName } from '../../store/image-names.ts'
import { pruneStore } from '../../store/prune.ts'
import type { Context } from '../context.ts'
import { removeLeftMounts } from '../left-mounts.ts'
import { lockHost } from '../lock-host.ts'
import { lockStore } from '../locks.ts'
import { namedImage } from '../lookup/named-image.ts'

/** A row of `images list`: an image under one of its names, as that was given, or without one. */
export interface ImageRow {
  /** `docker.io/library/etcd`, or `<none>`. */
  readonly repository: string
  /** The same as it was written when the image was pulled or tagged: `etcd`. */
  readonly repo: string
  readonly tag: string
  readonly id: string
  readonly manifest: string
  /** When the image was made, RFC 3339; empty when it does not say. */
  readonly created: string
  /** Bytes of all files of all layers; 0 for a layer. */
  readonly size: number
  /** `system`, empty for an ordinary image, `layer`. */
  readonly type: string
  readonly inUse: boolean
  readonly dangling: boolean
  readonly labels: Readonly<Record<string, string>>
}

/** The images of the store, by name; with `all` their layers, too, as rows without a name. */
export function listImages(options: { all: boolean }, context: Context): ImageRow[] {
  const { store } = context.paths
  const used = usedManifests(context)
  const index = readImageIndex(store)
  const images = index
    .flatMap((record) => {
      const image = openImage(store, record)
      const inUse = used.has(record.manifest)
      if (record.names.length === 0) return [imageRow(image, undefined, inUse)]
      return record.names.flatMap((name) =>
        spellingsOf(record, name).map((repo) => imageRow(image, { name, repo }, inUse)),
      )
    })
    .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
  return options.all ? [...images, ...layerRows(index, used)] : images
}

function sortKey({ repository, tag, repo }: ImageRow): string {
  return `${repository}:${tag} ${repo}`
}

function imageRow(
  { record, configuration }: StoredImage,
  given: { name: string; repo: string } | undefined,
  inUse: boolean,
): ImageRow {
  const reference = given && parseReference(given.name)
  const { labels } = configuration.config
  return {
    repository: reference === undefined ? '<none>' : repositoryName(reference),
    repo: given?.repo ?? '<none>',
    tag: reference?.tag ?? '<none>',
    id: record.id,
    manifest: record.manifest,
    created: configuration.created ?? '',
    size: record.treeSize,
    type: labelOf(labels, 'atomic.type') ?? '',
    inUse,
    dangling: given === undefined,
    labels,
  }
}

function layerRows(index: readonly ImageRecord[], used: ReadonlyMap<string, string>): ImageRow[] {
  const holders = new Map(index.flatMap((record) => record.diffIds.map((diffId) => [diffId, record] as const)))
  return [...holders].map(([diffId, { manifest }]) => ({
    repository: '<none>',
    repo: '<none>',
    tag: '<none>',
    id: diffId,
    manifest,
    created: '',
    size: 0,
    type: 'layer',
    inUse: used.has(manifest),
    dangling: false,
    labels: {},
  }))
}

/** The value of a label; keys compare without regard to case. */
export function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.entries(labels).find(([name]) => name.toLowerCase() === key)?.[1]
}

/** The one image of the store that words on the command line mean; see `namedImage`. @throws ForerunError `image-not-found` */
export function requireImage(words: string, context: Context): ImageRecord {
  return namedImage(words, context).record
}

/** Gives an image a further name, taken from whatever had it. */
export async function tagImage(words: string, name: string, context: Context): Promise<{ name: string; id: string }> {
  using _lock = await lockStore('images tag', 'exclusive', context)
  const image = requireImage(words, context)
  const reference = parseReference(name)
  if (reference.digest !== undefined) {
    throw new ForerunError('reference', `'${name}' has a digest, which cannot be given as a name`, {
      hint: 'Write the new name as REPOSITORY:TAG.',
    })
  }
  const full = formatReference(reference)
  const shortName = isShortName(name) ? name : undefined
  const spelling = spelledRepository({ transport: 'docker', reference, shortName })
  const index = nameImage(readImageIndex(context.paths.store), image.manifest, { name: full, spelling })
  writeImageIndex(context.paths.store, index)
  return { name: full, id: image.id }
}

export interface DeleteImagesResult {
  /** Names taken away. */
  readonly untagged: readonly string[]
  /** Ids of images removed. */
  readonly deleted: readonly string[]
}

/**
 * Takes names away; an image that has no other name goes, and what only it used. By id, all its names go; of a name that was
 * given in several ways, the one that is written here. `force` takes
 * also the last name of an image that containers use, which goes with the last of them at the next `pruneImages`.
 *
 * @throws ForerunError `image-not-found`, `image-in-use`; nothing has then been removed.
 */
export async function deleteImages(
  words: readonly string[],
  options: { force: boolean },
  context: Context,
): Promise<DeleteImagesResult> {
  using _store = await lockStore('images delete', 'exclusive', context)
  using _host = await lockHost('images delete', context)
  const { store } = context.paths
  const used = usedManifests(context)
  const untagged: string[] = []
  let index = readImageIndex(store)
  for (const word of words) {
    const { record: image, name, spelling } = namedImage(word, context)
    const before = index.find(({ manifest }) => manifest === image.manifest) ?? image
    const after = (name === undefined ? before.names : [name]).reduce(
      (record, going) => withoutName(record, going, name === undefined ? undefined : spelling),
      before,
    )
    index = index.map((record) => (record === before ? after : record))
    untagged.push(...takenNames(before, after))
  }
  const targets = new Set(words.map((word) => requireImage(word, context).manifest))
  const gone = index.filter(({ manifest, names }) => targets.has(manifest) && names.length === 0)
  const blocked = gone.find(({ manifest }) => used.has(manifest))
  if (blocked !== undefined && !options.force) {
    throw new ForerunError('image-in-use', `the image '${blocked.id}' is used by ${used.get(blocked.manifest)}`, {
      hint: 'Uninstall the container first, or delete the image all the same with --force.',
    })
  }
  // What a container was made of stays, without a name, until the container is gone: it is what the checkout is verified by.
  writeImageIndex(
    store,
    index.filter((record) => !gone.includes(record) || used.has(record.manifest)),
  )
  pruneStore(store)
  return { untagged, deleted: gone.filter(({ manifest }) => !used.has(manifest)).map(({ id }) => id) }
}

/** Full names that are gone, and of those that stay, the ways in which they were given. */
function takenNames(before: ImageRecord, after: ImageRecord): string[] {
  return before.names.flatMap((name) => {
    if (!after.names.includes(name)) return [name]
    const left = spellingsOf(after, name)
    return spellingsOf(before, name).flatMap((spelling) =>
      left.includes(spelling) ? [] : [spelledName(name, spelling)],
    )
  })
}

/**
 * Removes images that have no name and no container, and what no image needs; also what killed mounts left. What is mounted
 * has its files all the same.
 *
 * @throws ForerunError `store` when the list of images lacks one that a container was made of: what else is lost then?
 */
export async function pruneImages(context: Context): Promise<{ deleted: readonly string[]; bytes: number }> {
  using _store = await lockStore('images prune', 'exclusive', context)
  using _host = await lockHost('images prune', context)
  await removeLeftMounts(context)
  const { store } = context.paths
  const used = usedManifests(context)
  const index = readImageIndex(store)
  refuseLostImages(index, context)
  const gone = index.filter(({ manifest, names }) => names.length === 0 && !used.has(manifest))
  if (gone.length > 0)
    writeImageIndex(
      store,
      index.filter((record) => !gone.includes(record)),
    )
  return { deleted: gone.map(({ id }) => id), bytes: pruneStore(store) }
}

/** `--rootfs` needs no image, and of a container that was taken over nobody knows it. */
function refuseLostImages(index: readonly ImageRecord[], context: Context): void {
  const known = new Set<string>(index.map(({ manifest }) => manifest))
  const lost = allDeploymentFolders(context.paths.containers).find((folder) => {
    const { forerun, remote } = readInfo(folder)
    return remote === null && forerun.adopted !== true && !known.has(forerun.manifest)
  })
  if (lost === undefined) return
  throw new ForerunError('store', `the list of images has lost the image of the container '${containerOf(lost)}'`, {
    hint: 'Nothing was removed. Get it back first: forerun verify --repair.',
  })
}

/** Manifests that deployments were made of, to the name of one container. */
function usedManifests(context: Context): Map<string, string> {
  const folders = allDeploymentFolders(context.paths.containers)
  return new Map(folders.map((folder) => [readInfo(folder).forerun.manifest, containerOf(folder)]))
}

function containerOf(folder: string): string {
  return folder.slice(folder.lastIndexOf('/') + 1).replace(/\.[01]$/, '')
}
