import type { Descriptor } from '../../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import type { FoundSignature, ImageSignatures } from '../../image/signature.ts'
import { namingPath, unreadable } from '../file-fault.ts'
import { folderFiles } from '../folder-files.ts'
import { type ImageParts, readBlobFile, readDocument } from '../image-parts.ts'
import { checkDigest, type ManifestDocument, resolveManifest } from '../resolve-manifest.ts'
import { mostSignatures, signaturesOfBlobs } from '../signature-blob.ts'
import type { ImageSource, TransferContext } from '../source.ts'
import { localName } from '../stored-name.ts'

/**
 * An image in a folder as `skopeo copy … dir:` writes it (containers-transports(5), `dir`): manifest.json, each blob in a
 * file named by its digest's hexadecimal part, and signatures. The manifests of an index lie in `HEX.manifest.json`. The
 * folder may come from a stranger: no symbolic link in it is followed.
 *
 * Errors are ForerunErrors that name the folder: `archive`, `not-an-image`, `manifest`, `platform`, `digest`, `limit`, `signature`.
 */
export function dirSource({ path }: { path: string }): ImageSource {
  const files = folderFiles(path)
  let primary: Digest | undefined
  return {
    isRemote: false,
    async manifest(platform, context) {
      try {
        await checkVersion(files, context)
        const resolved = await resolveManifest((descriptor) => readManifest(files, descriptor, context), platform)
        primary = resolved.indexes[0]?.digest ?? resolved.digest
        return { reference: localName(path), ...resolved }
      } catch (error) {
        throw namingPath(path, error)
      }
    },
    async *blob(descriptor, context, { offset = 0 } = {}) {
      const name = await blobName(files, descriptor, context)
      yield* readBlobFile(files, { name, descriptor }, { offset, context })
    },
    signatures: (digest, context) => readSignatures(files, digest === primary ? '' : `${digestHex(digest)}.`, context),
    async [Symbol.asyncDispose]() {},
  }
}

async function checkVersion(files: ImageParts, context: TransferContext): Promise<void> {
  const bytes = await readDocument(files, 'version', context)
  // What it says is only asked for where it is there: some tools leave it out.
  if (bytes === undefined || /^Directory Transport Version: 1\.\d+\n?$/.test(bytes.toString('latin1'))) return
  throw unreadable(files.path, 'has a file version that is not that of a dir: image', {
    hint: 'Write it again with skopeo copy … dir:FOLDER.',
  })
}

async function readManifest(
  files: ImageParts,
  descriptor: Descriptor | undefined,
  context: TransferContext,
): Promise<ManifestDocument> {
  const name = descriptor === undefined ? 'manifest.json' : `${digestHex(descriptor.digest)}.manifest.json`
  const bytes = descriptor?.data ?? (await readDocument(files, name, context))
  if (bytes === undefined) throw await noManifest(files, name, context)
  const digest = checkDigest(bytes, descriptor?.digest, name)
  return { bytes, digest, parsed: parseManifest(bytes, descriptor?.mediaType) }
}

async function noManifest(files: ImageParts, name: string, context: TransferContext): Promise<Error> {
  if (name !== 'manifest.json') {
    return unreadable(files.path, `lacks ${name}, the manifest for this platform`, {
      hint: 'Copy the image with skopeo copy --all, or for this platform alone.',
    })
  }
  const isLayout = (await files.size('oci-layout', context)) !== undefined
  return unreadable(files.path, 'is no image of the dir: kind: it lacks manifest.json', {
    hint: isLayout ? 'It is an OCI layout: write oci:DIR.' : 'Name a folder that skopeo copy … dir:FOLDER wrote.',
  })
}

/** Newer tools put the algorithm before all digests but those of SHA-256. */
async function blobName(files: ImageParts, { digest }: Descriptor, context: TransferContext): Promise<string> {
  const hex = digestHex(digest)
  const algorithm = digestAlgorithm(digest)
  const long = `${algorithm}-${hex}`
  const isLong = algorithm !== 'sha256' && (await files.size(long, context)) !== undefined
  return isLong ? long : hex
}

async function readSignatures(files: ImageParts, prefix: string, context: TransferContext): Promise<ImageSignatures> {
  const found: FoundSignature<Buffer>[] = []
  while (found.length < mostSignatures) {
    const name = `${prefix}signature-${found.length + 1}`
    const content = await readDocument(files, name, context)
    if (content === undefined) break
    found.push({ origin: `${files.path}/${name}`, content })
  }
  return signaturesOfBlobs(found)
}
