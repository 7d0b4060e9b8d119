import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { LabImage } from '../lab/image.ts'
import { type Compression, type LayerFiles, packLayer } from '../lab/layer.ts'
import { folder } from './reading-files.ts'

/** Writes a tar archive of these files, in this order; returns its path. */
export async function archive(
  t: TestContext,
  files: LayerFiles,
  { compression = 'none', name = 'etcd.tar' }: { compression?: Compression; name?: string } = {},
): Promise<string> {
  const path = join(folder(t), name)
  writeFileSync(path, (await packLayer(files, { compression })).bytes)
  return path
}

/** The files of an OCI layout that holds these images, the index last, as some tools have it. */
export function layoutFiles(...images: { image: LabImage; name?: string }[]): Record<string, string | Buffer> {
  const blobs = images.flatMap(({ image }) => [
    ...image.blobs,
    ...image.manifests.map(({ digest, bytes }) => [digest, bytes] as const),
  ])
  const manifests = images.map(({ image, name }) => ({
    ...{ mediaType: image.mediaType, digest: image.digest, size: image.manifests.at(-1)?.bytes.length },
    ...(name !== undefined && { annotations: { 'org.opencontainers.image.ref.name': name } }),
  }))
  return {
    ...Object.fromEntries(blobs.map(([digest, bytes]) => [`blobs/${digest.replace(':', '/')}`, bytes])),
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify({ schemaVersion: 2, manifests }),
  }
}
