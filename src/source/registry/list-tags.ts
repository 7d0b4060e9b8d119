import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { parseJson } from '../../image/json.ts'
import { repositoryName } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import { nextPage } from './protocol/next-page.ts'
import { requestFromRepository } from './protocol/request.ts'
import { misbehaving } from './transport/failure.ts'
import { nominalOrigin } from './transport/nominal-origin.ts'
import type { Registry } from './transport/registry.ts'
import { withRetries } from './transport/retries.ts'
import { wholeBody } from './transport/whole-body.ts'

/** More than any repository has; they are held in memory. */
const mostTags = 200_000
const mostPages = 2000

/**
 * All tags of the repository (distribution specification, "Listing Tags"), page by page. What is no tag is left out.
 *
 * @throws ForerunError `image-not-found`; `registry` when the list does not end, or goes on elsewhere; `manifest` when it is none.
 */
export async function listTags(registry: Registry, context: TransferContext): Promise<string[]> {
  const tags: string[] = []
  let page: Page | undefined
  for (let pages = 1; ; pages += 1) {
    page = await readPage(
      registry,
      page === undefined ? 'tags/list?n=1000' : nextPage(page, 'its list of tags'),
      context,
    )
    if (page === undefined) return tags
    tags.push(...page.tags)
    if (pages >= mostPages || tags.length > mostTags) throw misbehaving(page.url, 'lists tags without an end')
  }
}

interface Page {
  readonly tags: readonly string[]
  readonly url: URL
  readonly link: string | undefined
}

/** Some registries say null for none. */
const listSchema = v.object({ tags: v.nullish(v.array(v.string())) })

async function readPage(
  registry: Registry,
  path: string | URL | undefined,
  context: TransferContext,
): Promise<Page | undefined> {
  if (path === undefined) return undefined
  const { origin = nominalOrigin(registry.reference), reference, settings } = registry
  const url = typeof path === 'string' ? new URL(`/v2/${reference.path}/${path}`, origin) : path
  return withRetries(registry, url, {
    context,
    attempt: async () => {
      const answer = await requestFromRepository(registry, path, { missing: notFound(registry), context })
      const limit = settings.documentLimit
      const bytes = await wholeBody(answer, { limit, signal: context.signal, document: 'the list of tags' })
      const { tags } = parseJson(bytes, listSchema, { document: 'the list of tags' })
      const sound = (tags ?? []).filter((tag) => /^\w[\w.-]{0,127}$/.test(tag))
      return { tags: sound, url: answer.url, link: answer.header('link') }
    },
  })
}

function notFound({ reference }: Registry): ForerunError {
  return new ForerunError(
    'image-not-found',
    `${repositoryName(reference)} does not exist, or its tags cannot be listed`,
    {
      hint: 'Check the spelling of the repository.',
    },
  )
}
