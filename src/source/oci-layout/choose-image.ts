import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { chooseManifest } from '../../image/choose-manifest.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { type IndexEntry, soundEntry } from '../../image/index-entry.ts'
import { parseJson } from '../../image/json.ts'
import { formatLocation, type ImageLocation } from '../../image/location.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isIndexType, isManifestType } from '../../image/media-type.ts'
import type { Platform } from '../../image/platform.ts'
import { shownWords } from '../../image/reference.ts'
import { unreadable } from '../file-fault.ts'
import { type ImageParts, readDocument } from '../image-parts.ts'
import type { TransferContext } from '../source.ts'
import { localName, registryName } from '../stored-name.ts'

export type LayoutLocation = Extract<ImageLocation, { transport: 'oci' | 'oci-archive' }>

/**
 * The entry of a layout's `index.json` that a location names: the one of that name, the N-th for `@N` (from 0, as
 * containers-transports(5) counts), or without a name the only one. Entries that differ in nothing but their platform are
 * one image. `reference` is the name to store it under.
 */
export async function chooseImage(
  files: ImageParts,
  location: LayoutLocation,
  { platform, context }: { platform: Platform; context: TransferContext },
): Promise<{ descriptor: Descriptor; reference: string }> {
  const entries = await readIndex(files, context)
  const { image } = location
  const found = image === undefined ? onlyImage(entries, location) : namedImage(entries, image)
  if (found.length === 0) throw notFound(entries, location)
  const [only] = found
  const descriptor = only !== undefined && found.length === 1 ? soundEntry(only) : chooseManifest(found, platform)
  return { descriptor, reference: storedName(location, descriptor) }
}

const markerSchema = v.object({ imageLayoutVersion: v.string() })

async function readIndex(files: ImageParts, context: TransferContext): Promise<readonly IndexEntry[]> {
  const marker = await readDocument(files, 'oci-layout', context)
  if (marker === undefined) throw await noLayout(files, context)
  const { imageLayoutVersion } = parseJson(marker, markerSchema, { document: 'oci-layout' })
  if (!/^1\.\d+\.\d+$/.test(imageLayoutVersion)) {
    const version = shownWords(imageLayoutVersion)
    throw unreadable(files.path, `is an OCI layout of version '${version}', where 1 is known`, { hint: rewriteHint })
  }
  const bytes = await readDocument(files, 'index.json', context)
  if (bytes === undefined) throw unreadable(files.path, 'is an OCI layout without index.json')
  const document = parseManifest(bytes, 'application/vnd.oci.image.index.v1+json')
  if (document.kind !== 'index') throw unreadable(files.path, 'has an index.json that is no index')
  return document.index.manifests
}

const rewriteHint = 'Write it again with a newer tool, for example skopeo copy.'

async function noLayout(files: ImageParts, context: TransferContext): Promise<ForerunError> {
  const manifest = await files.size('manifest.json', context)
  const other = manifest === undefined ? undefined : (await files.size('version', context)) === undefined
  return unreadable(files.path, 'is no OCI layout: it lacks the file oci-layout', {
    hint:
      other === undefined
        ? 'Name the folder or the archive that holds oci-layout and index.json.'
        : `It looks like what ${other ? 'docker save' : 'skopeo'} writes: name it with ${other ? 'docker-archive:FILE' : 'dir:DIR'}.`,
  })
}

function onlyImage(entries: readonly IndexEntry[], location: LayoutLocation): readonly IndexEntry[] {
  const images = entries.filter(isImage)
  const digests = new Set(images.map(({ digest }) => digest))
  if (digests.size <= 1) return images.slice(0, 1)
  const names = new Set(images.map(entryName))
  const isOfPlatforms = names.size === 1 && images.every(({ platform }) => platform !== undefined)
  if (isOfPlatforms) return images
  throw new ForerunError(
    'image-not-found',
    `'${shownWords(location.path)}' holds ${digests.size} images: ${listed(entries)}`,
    {
      hint: `Say which one: ${formatLocation({ ...location, image: entryName(images[0] as IndexEntry) ?? '@0' })}`,
    },
  )
}

function namedImage(entries: readonly IndexEntry[], image: string): readonly IndexEntry[] {
  if (/^@\d{1,9}$/.test(image)) return entries.slice(Number(image.slice(1))).slice(0, 1)
  const named = entries.filter((entry) => entryName(entry) === image)
  if (named.length > 0) return named
  return entries.filter(({ annotations }) => annotations?.[containerdName] === image)
}

function notFound(entries: readonly IndexEntry[], { path, image }: LayoutLocation): ForerunError {
  const wanted = image === undefined ? 'no image' : `no image '${shownWords(image)}'`
  const images = listed(entries)
  return new ForerunError('image-not-found', `'${shownWords(path)}' holds ${wanted}`, {
    hint: images === '' ? 'Write an image there first.' : `It holds ${images}.`,
  })
}

function listed(entries: readonly IndexEntry[]): string {
  const names = entries.flatMap((entry, index) => (isImage(entry) ? [entryName(entry) ?? `@${index}`] : []))
  const shown = [...new Set(names)].slice(0, 20).map(shownWords)
  return names.length > 20 ? `${shown.join(', ')}, …` : shown.join(', ')
}

function isImage({ mediaType, annotations }: IndexEntry): boolean {
  const isAttestation = annotations?.['vnd.docker.reference.type'] === 'attestation-manifest'
  return (mediaType === '' || isManifestType(mediaType) || isIndexType(mediaType)) && !isAttestation
}

/** OCI image specification, "Annotations". */
const refName = 'org.opencontainers.image.ref.name'
/** Docker and containerd put the whole name here and the tag alone there. */
const containerdName = 'io.containerd.image.name'

function entryName({ annotations }: IndexEntry): string | undefined {
  return annotations?.[refName]
}

function storedName({ path, image }: LayoutLocation, { annotations }: Descriptor): string {
  const isNumber = image?.startsWith('@') === true
  const words = isNumber || image === undefined ? annotations?.[refName] : image
  const full = [words ?? '', annotations?.[containerdName] ?? ''].map(registryName).find((name) => name !== undefined)
  return full ?? localName(path, words)
}
