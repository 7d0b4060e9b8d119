import { resolve } from 'node:path'
import { type Digest, digestAlgorithm, digestHex } from '../../image/digest.ts'
import { formatLocation } from '../../image/location.ts'
import { checkEntryName, entryNameAnnotation } from '../oci-layout/entry-name.ts'
import type { ImageTarget, ManifestToWrite } from '../target.ts'
import { newArchive } from './new-archive.ts'

/**
 * A new tar archive of one image in the form of an OCI layout. It gets its name when it is whole and on the disk; until
 * then it lies beside under a name that begins with `.`. A file that is there is not overwritten, but for an empty one.
 *
 * @param options.image the image's name in the layout (annotation `org.opencontainers.image.ref.name`).
 * @throws ForerunError `reference` for a name that no entry can have; then, when something is written, `file-exists`, `disk-full`.
 */
export function archiveTarget(path: string, { image }: { image: string | undefined }): ImageTarget {
  if (image !== undefined) checkEntryName(image)
  const archive = newArchive(resolve(path))
  return {
    name: formatLocation({ transport: 'oci-archive', path, image }),
    async writeBlob({ digest, size }, content, context) {
      const isNew = await archive.append({ name: blobName(digest), size, open: content.open }, context)
      return isNew ? 'sent' : 'present'
    },
    async writeManifest(document, context) {
      const { digest, bytes } = document
      await archive.append({ name: blobName(digest), size: bytes.length, open: () => [bytes] }, context)
      for (const [name, text] of Object.entries(layoutFiles(document, image))) {
        await archive.append({ name, size: text.length, open: () => [Buffer.from(text)] }, context)
      }
      await archive.finish()
    },
    [Symbol.asyncDispose]: () => archive.close(),
  }
}

function blobName(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`
}

function layoutFiles({ mediaType, digest, bytes }: ManifestToWrite, image: string | undefined): Record<string, string> {
  const annotations = image === undefined ? {} : { annotations: { [entryNameAnnotation]: image } }
  const entry = { mediaType, digest, size: bytes.length, ...annotations }
  return {
    'oci-layout': JSON.stringify({ imageLayoutVersion: '1.0.0' }),
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
  }
}
