import { join } from 'node:path'
import { readSettings } from '../../src/config/settings.ts'
import type { ForerunEvent } from '../../src/events.ts'
import { hostPaths } from '../../src/host/paths.ts'
import type { Digest } from '../../src/image/digest.ts'
import { parseManifest } from '../../src/image/manifest.ts'
import type { Context } from '../../src/operations/context.ts'
import { resolveManifest } from '../../src/source/resolve-manifest.ts'
import type { ImageSource } from '../../src/source/source.ts'
import type { LabImage } from '../lab/image.ts'
import { threads } from '../store/scratch.ts'

/** An image in memory as a source, which tells what it was asked for. */
export type CountedSource = ImageSource & { readonly asked: string[] }

export function countedSource(image: LabImage, { forwards = false }: { forwards?: boolean } = {}): CountedSource {
  const asked: string[] = []
  const read = async (wanted: string) => {
    const bytes = image.manifests.find(({ digest }) => digest === wanted)?.bytes ?? Buffer.alloc(0)
    return { bytes, digest: wanted as Digest, parsed: parseManifest(bytes) }
  }
  return {
    asked,
    isRemote: true,
    async manifest(platform) {
      const resolved = await resolveManifest((descriptor) => read(descriptor?.digest ?? image.digest), platform)
      return { reference: 'example.org/app:1', ...resolved }
    },
    async *blob({ digest }) {
      asked.push(digest)
      yield image.blobs.get(digest) ?? Buffer.alloc(0)
    },
    ...(forwards && { forwardOrder: (wanted) => wanted }),
    signatures: async () => ({ simple: [], sigstore: [] }),
    async [Symbol.asyncDispose]() {},
  }
}

/** A context whose store is below a folder, and whose images all come from one source. */
export function contextIn(folder: string, source: ImageSource, events: ForerunEvent[] = []): Context {
  return {
    version: '0',
    settings: readSettings({ root: folder }),
    paths: hostPaths({ store: join(folder, 'store'), containers: join(folder, 'containers') }),
    emit: (event) => events.push(event),
    signal: new AbortController().signal,
    threads,
    candidates: async (location) => [location],
    source: async () => source,
    target: () => Promise.reject(new Error('nothing is pushed')),
    manager: () => Promise.reject(new Error('no systemd is needed')),
  }
}
