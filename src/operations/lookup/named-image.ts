import { ForerunError } from '../../errors.ts'
import { spelledRepository } from '../../image/location.ts'
import { formatReference, isShortName, parseReference, type Reference, shownWords } from '../../image/reference.ts'
import { findImages } from '../../store/image.ts'
import { type ImageRecord, readImageIndex } from '../../store/image-index.ts'
import { spellingsOf } from '../../store/image-names.ts'
import type { Context } from '../context.ts'

export interface NamedImage {
  readonly record: ImageRecord
  /** The full name that the words stand for; undefined when they are an id. */
  readonly name: string | undefined
  /** The words' repository, where the name was given in just this way; see `spellingsOf`. */
  readonly spelling?: string
}

/**
 * The one image of the store that words on the command line mean: a name as it was given when the image was pulled or
 * tagged; a full name; else, for words without a registry, the last parts of a name (`etcd:3.5` for
 * `registry.example/team/etcd:3.5`; without a tag `latest`, or any); else an id or its beginning.
 *
 * @throws ForerunError `image-not-found`, also when several are meant.
 */
export function namedImage(words: string, context: Context): NamedImage {
  const named = findNamedImage(words, context)
  if (named !== undefined) return named
  throw new ForerunError('image-not-found', `there is no image '${shownWords(words)}' in the store`, {
    hint: 'List them: forerun images list; fetch it: forerun pull IMAGE; only look: forerun images info --remote IMAGE',
  })
}

/** As `namedImage`; undefined when there is none. */
export function findNamedImage(words: string, { paths: { store } }: Context): NamedImage | undefined {
  const reference = readReference(words)
  const given = reference && givenName(words, reference, readImageIndex(store))
  if (given !== undefined) return given
  const full = reference && formatReference(reference)
  const [exact] = full === undefined ? [] : findImages(store, { name: full, id: '' })
  if (exact !== undefined) return { record: exact, name: full }
  const byEnd = reference !== undefined && isShortName(words) ? namesEndingIn(words, readImageIndex(store)) : []
  const [name, ...others] = byEnd
  if (others.length > 0) throw ambiguous(words, byEnd)
  const [record, ...furtherRecords] = findImages(store, { name, id: words })
  if (record === undefined) return undefined
  if (furtherRecords.length === 0) return { record, name }
  const isWhole = furtherRecords.every(({ id }) => id === record.id)
  const meaning = isWhole ? 'is the id of' : 'is the beginning of the ids of'
  throw new ForerunError('image-not-found', `'${words}' ${meaning} ${furtherRecords.length + 1} images`, {
    hint: isWhole ? 'Write a name, or the digest of a manifest: forerun images list --json' : 'Give more digits.',
  })
}

/** What the same words named when an image was pulled, whatever they would name now. */
function givenName(words: string, reference: Reference, index: readonly ImageRecord[]): NamedImage | undefined {
  const spelling = spelledRepository({
    transport: 'docker',
    reference,
    shortName: isShortName(words) ? words : undefined,
  })
  for (const record of index) {
    for (const name of record.names) {
      const { tag, digest } = parseReference(name)
      const isMeant = tag === reference.tag && digest === reference.digest
      if (isMeant && spelling !== undefined && spellingsOf(record, name).includes(spelling))
        return { record, name, spelling }
    }
  }
  return undefined
}

/** undefined for words that can only be an id. */
function readReference(words: string): Reference | undefined {
  try {
    return parseReference(words)
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'reference') return undefined
    throw error
  }
}

function namesEndingIn(words: string, index: readonly ImageRecord[]): string[] {
  const [, repository = '', tag, digest] = /^([^:@]+)(?::([^@]+))?(?:@(.+))?$/.exec(words) ?? []
  const names = index.flatMap((record) =>
    record.names.map((name) => ({ name, record, reference: parseReference(name) })),
  )
  const ending = names.filter(({ reference }) => `/${reference.path}`.endsWith(`/${repository}`))
  const wanted = ending.filter(({ reference, record }) => {
    return (tag === undefined || tag === reference.tag) && (digest === undefined || digest === record.manifest)
  })
  const latest = wanted.filter(({ reference }) => reference.tag === 'latest')
  const meant = tag === undefined && latest.length > 0 ? latest : wanted
  return meant.map(({ name }) => name)
}

function ambiguous(words: string, names: readonly string[]): ForerunError {
  const shown = names.slice(0, 5).join(', ')
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return new ForerunError('image-not-found', `'${shownWords(words)}' may be ${shown}${more}`, {
    hint: 'Write the whole name.',
  })
}
