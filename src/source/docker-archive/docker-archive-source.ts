import { archiveFiles } from '../archive-files.ts'
import { namingPath } from '../file-fault.ts'
import { type ArchiveFiles, layersInOrder, readBlobFile } from '../image-parts.ts'
import type { ImageSource } from '../source.ts'
import { completedName, localName } from '../stored-name.ts'
import { chooseSavedImage, type SavedImage } from './saved-image.ts'
import { describeSavedImage, type SavedManifest } from './saved-manifest.ts'

/**
 * An image in a tar archive as `docker save` of any version since 1.10, `podman save` and skopeo write it, plain or compressed with
 * gzip or zstd. It is streamed and nowhere unpacked. Such archives hold no manifest: one of Docker's schema 2 is made of what they hold,
 * and the same archive always gives the same.
 *
 * Errors are ForerunErrors that name the archive: `archive`, `image-not-found`, `manifest`, `digest`, `limit`, `interrupted`.
 */
export function dockerArchiveSource({ path, image }: { path: string; image: string | undefined }): ImageSource {
  return savedImageSource(archiveFiles(path), {
    image,
    nameOf: ({ names }) => (image?.startsWith('@') === false && completedName(image)) || (names[0] ?? localName(path)),
  })
}

/**
 * As `dockerArchiveSource`, for the files of such an archive wherever it comes from; they are closed with the source.
 *
 * @param options.image one of the names in the archive, or `@N`; undefined for the only image.
 * @param options.nameOf the name to store the image under.
 */
export function savedImageSource(
  files: ArchiveFiles,
  { image, nameOf }: { image: string | undefined; nameOf: (saved: SavedImage) => string },
): ImageSource {
  let described: SavedManifest | undefined
  const fileOf = ({ digest }: { digest: string }) => described?.files.get(digest) ?? digest
  return {
    isRemote: false,
    async manifest(_platform, context) {
      try {
        const saved = await chooseSavedImage(files, { image, context })
        described = await describeSavedImage(files, saved, context)
        return { reference: nameOf(saved), indexes: [], ...described.document }
      } catch (error) {
        throw namingPath(files.path, error)
      }
    },
    blob: (descriptor, context, { offset = 0 } = {}) =>
      readBlobFile(files, { name: fileOf(descriptor), descriptor }, { offset, context }),
    forwardOrder: (layers) => layersInOrder(files, layers, fileOf),
    signatures: async () => ({ simple: [], sigstore: [] }),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}
