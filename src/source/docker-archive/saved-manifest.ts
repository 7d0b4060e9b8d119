import { createHash } from 'node:crypto'
import { parseImageConfiguration } from '../../image/configuration.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { type Digest, digestOf, isDigest } from '../../image/digest.ts'
import { malformed } from '../../image/json.ts'
import { type ImageManifest, parseManifest } from '../../image/manifest.ts'
import { compressionOf } from '../compression.ts'
import { unreadable } from '../file-fault.ts'
import { type ArchiveFiles, readDocument } from '../image-parts.ts'
import { checkDigest } from '../resolve-manifest.ts'
import type { TransferContext } from '../source.ts'
import type { SavedImage } from './saved-image.ts'

export interface SavedManifest {
  readonly document: { readonly digest: Digest; readonly bytes: Buffer; readonly manifest: ImageManifest }
  /** Digest -> member of the archive. */
  readonly files: ReadonlyMap<string, string>
}

/**
 * Makes the manifest of Docker's schema 2 that an archive lacks. A layer that is not compressed has its diff id for a digest;
 * a compressed one has the digest that its member is named by, or else that of its bytes, for which they are read once.
 *
 * @throws ForerunError `archive`, `manifest`, `digest`, `limit`
 */
export async function describeSavedImage(
  files: ArchiveFiles,
  saved: SavedImage,
  context: TransferContext,
): Promise<SavedManifest> {
  const configuration = await readConfiguration(files, saved, context)
  const { diffIds } = parseImageConfiguration(configuration)
  if (diffIds.length !== saved.layers.length) {
    throw malformed(`manifest.json has ${saved.layers.length} layers where the configuration has ${diffIds.length}`)
  }
  const names = new Map<string, string>([[digestOf(configuration), saved.configuration]])
  const described = await describeLayers(files, { names: saved.layers, diffIds }, context)
  const layers = saved.layers.map((name) => described.get(name) as Descriptor)
  for (const [name, { digest }] of described) names.set(digest, name)
  const config = {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    size: configuration.length,
    digest: digestOf(configuration),
  }
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }))
  const parsed = parseManifest(bytes)
  if (parsed.kind !== 'manifest') throw new Error('an index was made')
  return { document: { digest: digestOf(bytes), bytes, manifest: parsed.manifest }, files: names }
}

async function readConfiguration(
  files: ArchiveFiles,
  { configuration }: SavedImage,
  context: TransferContext,
): Promise<Buffer> {
  const bytes = await readDocument(files, configuration, context)
  if (bytes === undefined) throw unreadable(files.path, `lacks ${configuration}, the image's configuration`)
  checkDigest(bytes, digestInName(configuration.replace(/\.json$/, '')), "the image's configuration")
  return bytes
}

/** `HEX`, `sha256:HEX` or `…/sha256/HEX`: the digest that a member is named by. */
function digestInName(name: string): Digest | undefined {
  const hex = /^(?:.*\/sha256\/|sha256:)?([0-9a-f]{64})$/.exec(name)?.[1]
  const digest = `sha256:${hex}`
  return isDigest(digest) ? digest : undefined
}

/** By the members' names: an image may have one layer twice. */
async function describeLayers(
  files: ArchiveFiles,
  { names, diffIds }: { names: readonly string[]; diffIds: readonly Digest[] },
  context: TransferContext,
): Promise<ReadonlyMap<string, Descriptor>> {
  const described = new Map<string, Descriptor>()
  for (const [index, name] of names.entries()) {
    const size = await files.size(name, context)
    const diffId = diffIds[index]
    if (size === undefined || diffId === undefined) throw unreadable(files.path, `lacks ${name}, a layer of the image`)
    const compression = compressionOf(await files.start(name, context))
    const mediaType = `application/vnd.docker.image.rootfs.diff.tar${compression === undefined ? '' : `.${compression}`}`
    const digest = compression === undefined ? diffId : digestInName(name)
    described.set(name, { mediaType, size, digest: digest ?? (await digestOfFile(files, name, context)) })
  }
  return described
}

async function digestOfFile(files: ArchiveFiles, name: string, context: TransferContext): Promise<Digest> {
  const hash = createHash('sha256')
  for await (const bytes of files.read(name, context)) hash.update(bytes)
  return `sha256:${hash.digest('hex')}`
}
