import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { ProgramFailure, run } from '../../host/run.ts'
import { shownWords } from '../../image/reference.ts'
import { checkInterrupted } from '../file-fault.ts'
import { folderFiles } from '../folder-files.ts'
import { layoutSource } from '../oci-layout/layout-source.ts'
import type { ImageSource, TransferContext } from '../source.ts'
import { completedName, localName } from '../stored-name.ts'

/**
 * An image of the storage of Podman, Buildah and CRI-O, by its name or id. Only their own library reads that, so skopeo copies it to a
 * folder below `folder`, which is removed when the source is disposed of. The storage keeps layers unpacked: in what comes out of it
 * their bytes, and so the manifest's digest, are others than the registry's; their diff ids are the same.
 *
 * Errors are ForerunErrors: `archive` (no skopeo, or what skopeo says), `image-not-found`, `interrupted`, and those of a layout.
 */
export function containersStorageSource(
  { image }: { image: string },
  { folder = '/var/tmp', skopeo = 'skopeo' }: { folder?: string; skopeo?: string } = {},
): ImageSource {
  let copying: Promise<Copy> | undefined
  const copied = (context: TransferContext) => {
    copying ??= copyImage(image, { folder, skopeo, context })
    return copying
  }
  return {
    isRemote: false,
    async manifest(platform, context) {
      const { source } = await copied(context)
      const resolved = await source.manifest(platform, context)
      return { ...resolved, reference: storedName(image) }
    },
    async *blob(descriptor, context, options) {
      const { source } = await copied(context)
      yield* source.blob(descriptor, context, options)
    },
    signatures: async () => ({ simple: [], sigstore: [] }),
    async [Symbol.asyncDispose]() {
      // That it could not be copied was told to whoever asked for it.
      await (await copying?.catch(() => undefined))?.remove()
    },
  }
}

/** Which storage it is may stand in brackets before the name. */
function storedName(image: string): string {
  const name = image.replace(/^\[[^\]]*\]/, '')
  return completedName(name) ?? localName(name)
}

interface Copy {
  readonly source: ImageSource
  remove(): Promise<void>
}

async function copyImage(
  image: string,
  { folder, skopeo, context }: { folder: string; skopeo: string; context: TransferContext },
): Promise<Copy> {
  checkInterrupted(context)
  const place = await mkdtemp(join(folder, 'forerun-storage-'))
  const remove = () => rm(place, { recursive: true, force: true })
  try {
    const path = join(place, 'layout')
    const words = ['copy', '--quiet', '--dest-oci-accept-uncompressed-layers']
    await copy(skopeo, [...words, `containers-storage:${image}`, `oci:${path}:image`], { image, context })
    return { source: layoutSource(folderFiles(path), { transport: 'oci', path, image: 'image' }), remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Milliseconds: an image may have many gigabytes, and its disk be slow. */
const longestCopy = 4 * 60 * 60 * 1000

async function copy(
  skopeo: string,
  words: readonly string[],
  { image, context }: { image: string; context: TransferContext },
): Promise<void> {
  const { signal } = context
  const { status, stderr } = await run(skopeo, words, { signal, timeout: longestCopy }).catch((error: unknown) => {
    if (error instanceof ProgramFailure && error.fault === 'absent') throw noSkopeo(error)
    throw error
  })
  if (status === 0) return
  const name = shownWords(image)
  if (/image not known|does not resolve to an image ID|identifier is not an image/i.test(stderr)) {
    throw new ForerunError('image-not-found', `the storage of Podman and its kin has no image '${name}'`, {
      hint: 'podman images lists what is there.',
    })
  }
  throw new ForerunError('archive', `skopeo cannot read containers-storage:${name}: ${lastMessage(stderr)}`, {
    hint: `Try skopeo inspect containers-storage:${name}.`,
  })
}

function noSkopeo(cause: unknown): ForerunError {
  return new ForerunError('archive', 'images of containers-storage: are read through skopeo, which is not installed', {
    hint: 'Install skopeo, or podman save the image and install it from docker-archive:FILE.',
    cause,
  })
}

/** Of a line such as `time="…" level=fatal msg="…"`. */
function lastMessage(stderr: string): string {
  const line = stderr.trim().split('\n').at(-1) ?? ''
  const quoted = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]
  const said = (quoted?.replace(/\\(.)/g, '$1') ?? line).replace(/\p{Cc}/gu, '?')
  // The cause comes last.
  return said === '' ? 'it failed without a word' : said.slice(-300)
}
