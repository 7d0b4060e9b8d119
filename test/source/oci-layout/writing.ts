import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ForerunEvent } from '../../../src/events.ts'
import type { Descriptor } from '../../../src/image/descriptor.ts'
import { digestHex, digestOf } from '../../../src/image/digest.ts'
import { layoutTarget } from '../../../src/source/oci-layout/layout-target.ts'
import type { TransferContext } from '../../../src/source/source.ts'
import type { BlobOutcome } from '../../../src/source/target.ts'

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** Writes an image of one blob, as far as a layout cares, and its manifest. */
export async function writeImage(
  folder: string,
  image: { name: string | undefined; blob: Buffer; open?: () => AsyncIterable<Buffer> },
  context = contextOf([]),
): Promise<BlobOutcome> {
  await using target = layoutTarget(folder, { image: image.name })
  const open = image.open ?? (() => contentOf(image.blob))
  const outcome = await target.writeBlob(descriptorOf(image.blob), { open, neighbours: [] }, context)
  const bytes = manifestOf(image.blob)
  await target.writeManifest({ mediaType: manifestType, digest: digestOf(bytes), bytes }, context)
  return outcome
}

export function contextOf(events: ForerunEvent[], signal = new AbortController().signal): TransferContext {
  return { signal, emit: (event) => events.push(event) }
}

export async function* contentOf(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

export function descriptorOf(bytes: Buffer): Descriptor {
  return {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestOf(bytes),
    size: bytes.length,
  }
}

export function manifestOf(blob: Buffer): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, layers: [descriptorOf(blob)] }))
}

/** Names of the layout's images to their digests. */
export function entries(folder: string): Record<string, string> {
  const { manifests } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'))
  return Object.fromEntries(
    manifests.map(({ digest, annotations }: { digest: string; annotations?: Record<string, string> }) => [
      annotations?.['org.opencontainers.image.ref.name'] ?? '',
      digest,
    ]),
  )
}

/** What is wrong with a layout, if anything: every entry has its blob, and every blob is what its name says. */
export function faultsOf(folder: string): string[] {
  const marker = readFileSync(join(folder, 'oci-layout'), 'utf8')
  const faults = marker === '{"imageLayoutVersion":"1.0.0"}' ? [] : [marker]
  const blobs = readdirSync(join(folder, 'blobs/sha256'))
  for (const name of blobs) {
    const bytes = readFileSync(join(folder, 'blobs/sha256', name))
    if (digestOf(bytes) !== `sha256:${name}`) faults.push(`blob ${name}`)
  }
  for (const [name, digest] of Object.entries(entries(folder))) {
    if (!blobs.includes(digestHex(digest as `sha256:${string}`))) faults.push(`entry ${name}`)
  }
  return faults
}
