import { randomBytes } from 'node:crypto'
import { digestOf } from '../../../src/image/digest.ts'
import type { Handler } from './server.ts'

export interface TestImage {
  readonly manifest: Buffer
  readonly configuration: Buffer
  readonly layer: Buffer
  readonly layerDescriptor: { mediaType: string; digest: ReturnType<typeof digestOf>; size: number }
}

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
export const ociIndex = 'application/vnd.oci.image.index.v1+json'

/** An image of one layer, whose bytes are no archive: a source does not look into them. */
export function testImage({
  layerSize = 300_000,
  architecture = 'amd64',
  configuration = {},
  manifest = {},
} = {}): TestImage {
  const layer = randomBytes(layerSize)
  const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] }
  const configurationBytes = json({ os: 'linux', architecture, config: { Cmd: ['/x'] }, rootfs, ...configuration })
  const layerDescriptor = descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)
  const config = descriptor('application/vnd.oci.image.config.v1+json', configurationBytes)
  const document = { schemaVersion: 2, mediaType: ociManifest, config, layers: [layerDescriptor], ...manifest }
  return { manifest: json(document), configuration: configurationBytes, layer, layerDescriptor }
}

export function indexOf(...manifests: object[]): Buffer {
  return json({ schemaVersion: 2, mediaType: ociIndex, manifests })
}

export function descriptor(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** A registry that has these images' blobs, and under its tags and their digests these manifests. */
export function registryOf(tags: Record<string, Buffer>, ...images: TestImage[]): Handler {
  const blobs = new Map(
    images.flatMap(({ configuration, layer }) => [configuration, layer].map((b) => [digestOf(b), b])),
  )
  const manifests = new Map(images.map(({ manifest }) => [digestOf(manifest) as string, manifest]))
  for (const [tag, bytes] of Object.entries(tags)) manifests.set(tag, bytes).set(digestOf(bytes), bytes)
  return (request, response) => {
    const [, kind, name = ''] = /^\/v2\/team\/app\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? []
    const bytes = kind === 'blobs' ? blobs.get(name as `sha256:${string}`) : manifests.get(name)
    if (request.url === '/v2/') return void response.end('{}')
    if (bytes === undefined) return void response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.setHeader('content-length', bytes.length - start)
    if (start > 0) {
      response.statusCode = 206
      response.setHeader('content-range', `bytes ${start}-${bytes.length - 1}/${bytes.length}`)
    }
    response.end(bytes.subarray(start))
  }
}
