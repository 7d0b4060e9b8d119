import * as v from 'valibot'
import { absent, type Descriptor } from '../../../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../../../image/digest.ts'
import { indexEntriesSchema, isSound } from '../../../image/index-entry.ts'
import { parseJson } from '../../../image/json.ts'
import type { TransferContext } from '../../source.ts'
import { nextPage } from '../protocol/next-page.ts'
import { misbehaving } from '../transport/failure.ts'
import type { Registry } from '../transport/registry.ts'
import { type AttachedDocument, readDocument } from './attachment.ts'

/**
 * What refers to a manifest or index: the referrers API, and where a registry lacks it (404) the index under the tag
 * `ALGORITHM-HEX` (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema").
 *
 * @throws ForerunError `registry` when the list does not end, or goes on elsewhere; `manifest` when it is none.
 */
export async function readReferrers(
  registry: Registry,
  digest: Digest,
  context: TransferContext,
): Promise<Descriptor[]> {
  const first = await readDocument(registry, `referrers/${digest}`, { accept: indexType, context })
  if (first !== undefined) return readPages(registry, first, context)
  // Truncated as the specification says, so that it is a tag.
  const tag = `${digestAlgorithm(digest).slice(0, 32)}-${digestHex(digest).slice(0, 64)}`
  const index = await readDocument(registry, `manifests/${tag}`, { accept: indexType, context })
  return index === undefined ? [] : referrersOf(index)
}

const indexType = 'application/vnd.oci.image.index.v1+json'

/** Pages of an image with so many referrers that none is looked through in vain. */
const mostPages = 32

async function readPages(registry: Registry, first: AttachedDocument, context: TransferContext): Promise<Descriptor[]> {
  const descriptors = referrersOf(first)
  let page = first
  for (let pages = 1; ; pages += 1) {
    const next = nextPage(page, 'its list of what refers to the image')
    if (next === undefined) return descriptors
    if (pages === mostPages)
      throw misbehaving(page.url, `lists more than ${mostPages} pages of what refers to the image`)
    const document = await readDocument(registry, next, { accept: indexType, context })
    if (document === undefined) throw misbehaving(next, 'lacks a page of its list of what refers to the image')
    descriptors.push(...referrersOf(document))
    page = document
  }
}

const indexSchema = v.object({ manifests: absent(indexEntriesSchema) })

/** Anybody may have added to the list. What is no descriptor proves nothing of the image, and hides no signature either. */
function referrersOf({ bytes }: AttachedDocument): Descriptor[] {
  const { manifests } = parseJson(bytes, indexSchema, { document: 'the list of what refers to the image' })
  return (manifests ?? []).filter(isSound)
}
