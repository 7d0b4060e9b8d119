import { createReadStream, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { syncDirectory } from '../../host/durable-file.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { type Digest, digestAlgorithm, digester, digestHex, finishDigest } from '../../image/digest.ts'
import { formatLocation } from '../../image/location.ts'
import { checkInterrupted } from '../file-fault.ts'
import type { TransferContext } from '../source.ts'
import type { BlobOutcome, ImageTarget, ManifestToWrite } from '../target.ts'
import { checkEntryName } from './entry-name.ts'
import { enterIntoLayout, openLayoutFolder, temporaryFile } from './layout-folder.ts'

/**
 * A folder in the form of the OCI image specification, "OCI Image Layout", made where there is none. Blobs lie under their names only
 * when they are whole and on the disk; `index.json` is replaced in one step after that. Several processes may write to one layout.
 *
 * @param options.image the image's name in the layout (annotation `org.opencontainers.image.ref.name`); another image of that name loses
 *   its entry, all other entries stay.
 * @throws ForerunError `reference` for a name that no entry can have. The folder is looked at with the first blob: `archive` when it holds
 *   something else than a layout; `disk-full`.
 */
export function layoutTarget(path: string, { image }: { image: string | undefined }): ImageTarget {
  if (image !== undefined) checkEntryName(image)
  const folder = resolve(path)
  let opened: Promise<void> | undefined

  async function inLayout<Result>(context: TransferContext, work: () => Promise<Result>): Promise<Result> {
    try {
      opened ??= openLayoutFolder(folder, context)
      await opened
      return await work()
    } catch (error) {
      throw namingFullDisk(error, folder)
    }
  }

  return {
    name: formatLocation({ transport: 'oci', path, image }),
    writeBlob: (descriptor, content, context) =>
      inLayout(context, () => writeLayoutBlob(folder, descriptor, { open: content.open, context })),
    writeManifest: (document, context) =>
      inLayout(context, async () => {
        noticeDockerTypes(document, context)
        const { mediaType, digest, bytes } = document
        const descriptor = { mediaType, digest, size: bytes.length }
        await writeLayoutBlob(folder, descriptor, { open: () => [bytes], context })
        await enterIntoLayout(folder, descriptor, { name: image, context })
      }),
    async [Symbol.asyncDispose]() {},
  }
}

async function writeLayoutBlob(
  folder: string,
  descriptor: Descriptor,
  work: { open: () => AsyncIterable<Buffer> | Iterable<Buffer>; context: TransferContext },
): Promise<BlobOutcome> {
  const path = madeBlobPath(folder, descriptor.digest)
  if (await isWhole(path, descriptor)) return 'present'
  const temporary = await temporaryFile(folder, work.context)
  try {
    await using file = temporary.file
    for await (const bytes of work.open()) {
      checkInterrupted(work.context)
      await file.writeFile(bytes)
    }
    await file.sync()
    renameSync(temporary.path, path)
  } catch (error) {
    rmSync(temporary.path, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
  return 'sent'
}

/** Another program may have left it torn. */
async function isWhole(path: string, { digest, size }: Descriptor): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.size !== size) return false
  const hash = digester(digest)
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer)
  return finishDigest(hash, digest) === digest
}

function madeBlobPath(folder: string, digest: Digest): string {
  const blobs = join(folder, 'blobs', digestAlgorithm(digest))
  if (mkdirSync(blobs, { recursive: true }) !== undefined) {
    syncDirectory(join(folder, 'blobs'))
    syncDirectory(folder)
  }
  return join(blobs, digestHex(digest))
}

function noticeDockerTypes({ mediaType }: ManifestToWrite, { emit }: TransferContext): void {
  if (!mediaType.startsWith('application/vnd.docker.')) return
  emit({
    type: 'notice',
    message: "The manifest is of Docker's schema 2 and stays so; some tools take only OCI manifests in a layout.",
  })
}
