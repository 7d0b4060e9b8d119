import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Layer, sha256 } from './layer.ts'

/** An image in memory, for `registry.push` or `writeLayout`. */
export interface LabImage {
  /** Of what a tag is to point to: the index where there is one, else the manifest. */
  readonly digest: string
  readonly mediaType: string
  /** Of the configurations, in the order of the platforms. */
  readonly imageIds: readonly string[]
  /** Digest -> configuration or layer. */
  readonly blobs: ReadonlyMap<string, Buffer>
  /** Those that others point to come first; the last one is the image's own. */
  readonly manifests: readonly { readonly digest: string; readonly mediaType: string; readonly bytes: Buffer }[]
}

export interface ImageOptions {
  /** The `config` member of the configuration: Entrypoint, Cmd, Env, User, WorkingDir, Labels, Volumes, StopSignal, … */
  readonly config?: Readonly<Record<string, unknown>>
  /** Media types of the OCI image specification, or Docker's schema 2. Default oci. */
  readonly format?: 'oci' | 'docker'
  /** Makes an index (a manifest list) with a manifest for each: `linux/amd64`, `linux/arm64/v8`. Without it: one manifest for this machine. */
  readonly platforms?: readonly string[]
  readonly annotations?: Readonly<Record<string, string>>
  /** RFC 3339. Default 1970, so that an image built twice has one digest. */
  readonly created?: string
  /** Of the configuration. */
  readonly history?: readonly object[]
}

/** Assembles an image of layers, base first. */
export function assembleImage(layers: readonly Layer[], options: ImageOptions = {}): LabImage {
  const types = mediaTypes[options.format ?? 'oci']
  const blobs = new Map(layers.map((layer) => [sha256(layer.bytes), layer.bytes]))
  const descriptors = layers.map((layer) => describe(layer.bytes, types.layer[layer.compression]))
  const images = (options.platforms ?? [machinePlatform()]).map((platform) => {
    const configuration = Buffer.from(JSON.stringify(configurationOf(layers, platform, options)))
    blobs.set(sha256(configuration), configuration)
    const manifest = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: describe(configuration, types.configuration),
      layers: descriptors,
      ...(options.annotations && { annotations: options.annotations }),
    }
    const bytes = Buffer.from(JSON.stringify(manifest))
    return { platform, imageId: sha256(configuration), digest: sha256(bytes), mediaType: types.manifest, bytes }
  })
  const manifests = images.map(({ digest, mediaType, bytes }) => ({ digest, mediaType, bytes }))
  if (options.platforms !== undefined) {
    const entries = images.map(({ bytes, platform }) => ({
      ...describe(bytes, types.manifest),
      platform: platformOf(platform),
    }))
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: entries }))
    manifests.push({ digest: sha256(bytes), mediaType: types.index, bytes })
  }
  const top = manifests.at(-1)
  if (top === undefined) throw new Error('an index needs a platform')
  return {
    digest: top.digest,
    mediaType: top.mediaType,
    imageIds: images.map(({ imageId }) => imageId),
    blobs,
    manifests,
  }
}

/** Writes the image as a folder in the form of the OCI image specification, "OCI Image Layout". */
export async function writeLayout(
  image: LabImage,
  folder: string,
  { tag = 'latest' }: { tag?: string } = {},
): Promise<void> {
  const blobFolder = join(folder, 'blobs/sha256')
  await mkdir(blobFolder, { recursive: true })
  const write = (digest: string, bytes: Buffer) => writeFile(join(blobFolder, digest.slice('sha256:'.length)), bytes)
  for (const [digest, bytes] of image.blobs) await write(digest, bytes)
  for (const { digest, bytes } of image.manifests) await write(digest, bytes)
  const size = image.manifests.at(-1)?.bytes.length
  const entry = {
    ...{ mediaType: image.mediaType, digest: image.digest, size },
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }))
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

/** Reads a folder that `writeLayout` wrote. */
export async function readLayout(folder: string): Promise<LabImage> {
  const blob = (digest: string) => readFile(join(folder, 'blobs/sha256', digest.slice('sha256:'.length)))
  const index: LayoutIndex = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'))
  const blobs = new Map<string, Buffer>()
  const manifests: { digest: string; mediaType: string; bytes: Buffer }[] = []
  const imageIds: string[] = []
  const visit = async ({ digest, mediaType }: { digest: string; mediaType: string }) => {
    const bytes = await blob(digest)
    const { manifests: children, config, layers }: Partial<LayoutIndex & LayoutManifest> = JSON.parse(bytes.toString())
    for (const child of children ?? []) await visit(child)
    if (config !== undefined) imageIds.push(config.digest)
    for (const each of config === undefined ? [] : [config, ...(layers ?? [])])
      blobs.set(each.digest, await blob(each.digest))
    manifests.push({ digest, mediaType, bytes })
  }
  const [top] = index.manifests
  if (top === undefined) throw new Error(`${folder} holds no image`)
  await visit(top)
  return { digest: top.digest, mediaType: top.mediaType, imageIds, blobs, manifests }
}

interface LayoutIndex {
  readonly manifests: readonly { readonly digest: string; readonly mediaType: string }[]
}

interface LayoutManifest {
  readonly config: { readonly digest: string }
  readonly layers: readonly { readonly digest: string }[]
}

const mediaTypes = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    configuration: 'application/vnd.oci.image.config.v1+json',
    layer: {
      gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
      zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
      none: 'application/vnd.oci.image.layer.v1.tar',
    },
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    configuration: 'application/vnd.docker.container.image.v1+json',
    layer: {
      gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
      none: 'application/vnd.docker.image.rootfs.diff.tar',
    },
  },
}

function describe(bytes: Buffer, mediaType: string) {
  return { mediaType, digest: sha256(bytes), size: bytes.length }
}

function configurationOf(layers: readonly Layer[], platform: string, options: ImageOptions) {
  return {
    created: options.created ?? '1970-01-01T00:00:00Z',
    ...platformOf(platform),
    config: options.config ?? {},
    ...(options.history && { history: options.history }),
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
  }
}

function platformOf(platform: string) {
  const [os, architecture, variant] = platform.split('/')
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

/** In Go's words, as images have it. */
function machinePlatform(): string {
  return `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`
}
