import type { Descriptor } from '../../image/descriptor.ts'
import { digestAlgorithm, digestHex } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import { namingPath, unreadable } from '../file-fault.ts'
import { folderFiles } from '../folder-files.ts'
import { type ImageParts, layersInOrder, readBlobFile, readDocument } from '../image-parts.ts'
import { checkDigest, checkSize, type ManifestDocument, resolveManifest } from '../resolve-manifest.ts'
import type { ImageSource, TransferContext } from '../source.ts'
import { chooseImage, type LayoutLocation } from './choose-image.ts'

/**
 * An image in a folder in the form of the OCI image specification, "OCI Image Layout". The folder may come from a stranger:
 * no symbolic link in it is followed.
 *
 * Errors are ForerunErrors that name the folder: `archive` (no layout, a blob that is not there), `image-not-found`,
 * `not-an-image`, `manifest`, `platform`, `digest`, `limit`, `interrupted`.
 */
export function ociLayoutSource(location: LayoutLocation): ImageSource {
  return layoutSource(folderFiles(location.path), location)
}

/** As `ociLayoutSource`, for a layout's files wherever they are; they are closed with the source. */
export function layoutSource(files: ImageParts, location: LayoutLocation): ImageSource {
  return {
    isRemote: false,
    async manifest(platform, context) {
      try {
        const chosen = await chooseImage(files, location, { platform, context })
        const read = (descriptor = chosen.descriptor) => readManifest(files, descriptor, context)
        return { reference: chosen.reference, ...(await resolveManifest(read, platform)) }
      } catch (error) {
        throw namingPath(files.path, error)
      }
    },
    blob: (descriptor, context, { offset = 0 } = {}) =>
      readBlobFile(files, { name: blobName(descriptor), descriptor }, { offset, context }),
    forwardOrder: (layers) => layersInOrder(files, layers, blobName),
    signatures: async () => ({ simple: [], sigstore: [] }),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}

async function readManifest(
  files: ImageParts,
  descriptor: Descriptor,
  context: TransferContext,
): Promise<ManifestDocument> {
  const { digest, mediaType, data } = descriptor
  const bytes = data ?? (await readDocument(files, blobName(descriptor), context))
  if (bytes === undefined) {
    throw unreadable(files.path, `lacks the manifest ${digest}`, { hint: 'Write the whole image there again.' })
  }
  checkSize(bytes, descriptor)
  checkDigest(bytes, digest, 'the manifest')
  return { bytes, digest, parsed: parseManifest(bytes, mediaType) }
}

function blobName({ digest }: Descriptor): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`
}
