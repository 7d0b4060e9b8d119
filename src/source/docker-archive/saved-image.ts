import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { absent } from '../../image/descriptor.ts'
import { parseJson } from '../../image/json.ts'
import { shownWords } from '../../image/reference.ts'
import { unreadable } from '../file-fault.ts'
import { type ImageParts, readDocument } from '../image-parts.ts'
import type { TransferContext } from '../source.ts'
import { completedName } from '../stored-name.ts'

/** An entry of the archive's manifest.json. Files are named as members of the archive. */
export interface SavedImage {
  readonly configuration: string
  /** Completed: `docker.io/library/etcd:3.5`. */
  readonly names: readonly string[]
  /** Base first. */
  readonly layers: readonly string[]
}

/**
 * The image of an archive that has this name, or the N-th for `@N` (from 0, as containers-transports(5) counts), or without
 * a name the only one.
 *
 * @throws ForerunError `archive`, `image-not-found`, `manifest`, `limit`
 */
export async function chooseSavedImage(
  files: ImageParts,
  { image, context }: { image: string | undefined; context: TransferContext },
): Promise<SavedImage> {
  const saved = await readSavedImages(files, context)
  if (image === undefined && saved.length > 1) throw several(saved, files.path)
  const found = image === undefined ? saved[0] : namedImage(saved, image)
  if (found !== undefined) return found
  const wanted = image === undefined ? 'no image' : `no image '${shownWords(image)}'`
  throw new ForerunError('image-not-found', `'${shownWords(files.path)}' holds ${wanted}`, {
    hint: saved.length === 0 ? 'Save an image there first.' : `It holds ${listed(saved)}.`,
  })
}

const list = <Schema extends v.GenericSchema>(items: Schema) => absent(v.array(items))

/** As Docker's Go program writes it: absent lists are null. */
const savedSchema = v.array(
  v.object({ Config: v.pipe(v.string(), v.nonEmpty('empty')), RepoTags: list(v.string()), Layers: list(v.string()) }),
)

async function readSavedImages(files: ImageParts, context: TransferContext): Promise<readonly SavedImage[]> {
  const bytes = await readDocument(files, 'manifest.json', context)
  if (bytes === undefined) throw await noManifest(files, context)
  return parseJson(bytes, savedSchema, { document: 'manifest.json' }).map(({ Config, RepoTags, Layers }) => ({
    configuration: Config,
    names: (RepoTags ?? []).map(completedName).filter((name) => name !== undefined),
    layers: Layers ?? [],
  }))
}

async function noManifest(files: ImageParts, context: TransferContext): Promise<ForerunError> {
  if ((await files.size('repositories', context)) !== undefined) {
    return unreadable(files.path, 'was saved by Docker before 1.10, without digests of its layers', {
      hint: 'Load it into a newer Docker and save it again.',
    })
  }
  const isLayout = (await files.size('oci-layout', context)) !== undefined
  return unreadable(files.path, 'is no archive of docker save: it lacks manifest.json', {
    hint: isLayout
      ? 'It holds an OCI layout: write oci-archive:FILE.'
      : 'Name an archive that docker save, podman save or skopeo wrote.',
  })
}

function namedImage(saved: readonly SavedImage[], image: string): SavedImage | undefined {
  if (/^@\d{1,9}$/.test(image)) return saved[Number(image.slice(1))]
  const name = completedName(image)
  return name === undefined ? undefined : saved.find(({ names }) => names.includes(name))
}

function several(saved: readonly SavedImage[], path: string): ForerunError {
  const message = `'${shownWords(path)}' holds ${saved.length} images: ${listed(saved)}`
  return new ForerunError('image-not-found', message, {
    hint: `Say which one: docker-archive:${shownWords(path)}:${saved[0]?.names[0] ?? '@0'}`,
  })
}

function listed(saved: readonly SavedImage[]): string {
  const names = saved.flatMap(({ names }, index) => (names.length === 0 ? [`@${index}`] : names))
  const shown = names.slice(0, 20).map(shownWords).join(', ')
  return names.length > 20 ? `${shown}, …` : shown
}
