import { ForerunError } from '../errors.ts'
import { chooseManifest } from '../image/choose-manifest.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { type Digest, digestOf } from '../image/digest.ts'
import { type ParsedManifest, parseManifest } from '../image/manifest.ts'
import type { Platform } from '../image/platform.ts'
import type { ResolvedManifest } from './source.ts'

/** A manifest or an index, verified against the digest by which it was asked for, if there was one. */
export interface ManifestDocument {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly parsed: ParsedManifest
}

/**
 * Follows nested indexes down to the manifest for a platform (OCI image specification, "Image Index").
 *
 * @param read reads the document of a descriptor; of `undefined`, the one that the image's name stands for.
 * @throws ForerunError `platform`; `limit` for indexes that nest too deep; `digest` for a size that is not the descriptor's.
 */
export async function resolveManifest(
  read: (descriptor: Descriptor | undefined) => Promise<ManifestDocument>,
  platform: Platform,
): Promise<Omit<ResolvedManifest, 'reference'>> {
  const indexes: ResolvedManifest['indexes'][number][] = []
  let document = await read(undefined)
  while (document.parsed.kind === 'index') {
    const { digest, bytes, parsed } = document
    indexes.push({ digest, bytes, index: parsed.index })
    if (indexes.length > deepestIndex) {
      throw new ForerunError('limit', `the image's index holds further indexes, more than ${deepestIndex} deep`, {
        hint: 'Push the image with a simple index, or name one of its manifests by digest.',
      })
    }
    const descriptor = chooseManifest(parsed.index.manifests, platform)
    document = embedded(descriptor) ?? (await read(descriptor))
    checkSize(document.bytes, descriptor)
  }
  const { digest, bytes, parsed } = document
  return { indexes, digest, bytes, manifest: parsed.manifest }
}

function embedded({ data, digest, mediaType }: Descriptor): ManifestDocument | undefined {
  return data && { bytes: data, digest, parsed: parseManifest(data, mediaType) }
}

/** Deeper than this an index of indexes is a trap. */
const deepestIndex = 4

/**
 * The digest computed over a document's bytes, which must be the one that was claimed. `document` names it in the error:
 * `the manifest`.
 *
 * @throws ForerunError `digest`
 */
export function checkDigest(bytes: Buffer, claim: Digest | undefined, document: string): Digest {
  const digest = digestOf(bytes, claim)
  if (claim === undefined || digest === claim) return digest
  throw new ForerunError('digest', `${document} is ${digest}, not ${claim} as it should be`, {
    hint: 'The source or something on the way changed it. Try again; if it remains, push the image again.',
  })
}

/** @throws ForerunError `digest` for a document whose size is not what its index says. */
export function checkSize(bytes: Buffer, { digest, size }: Descriptor): void {
  if (bytes.length === size) return
  throw new ForerunError('digest', `the manifest ${digest} has ${bytes.length} bytes where its index says ${size}`, {
    hint: 'The index is damaged. Push the image again.',
  })
}
