import { formatReference, parseReference, repositoryName } from '../image/reference.ts'
import type { ImageRecord } from './image-index.ts'

/**
 * How the repository of a full name was written when the image was pulled or tagged: `busybox` and
 * `docker.io/library/busybox` are one place, and whoever pulled both finds both in the list. The full name where nothing is
 * known.
 */
export function spellingsOf({ spellings }: ImageRecord, name: string): readonly string[] {
  return spellings?.[name] ?? [repositoryName(parseReference(name))]
}

/**
 * Gives a name to one image of an index, and takes it from whatever had it, with the ways in which it was written.
 *
 * @param given.spelling how it is written this time; undefined: nobody wrote it.
 */
export function nameImage(
  index: readonly ImageRecord[],
  manifest: string,
  given: { name: string; spelling: string | undefined },
): ImageRecord[] {
  const { name, spelling } = given
  const earlier = index.flatMap((record) => (record.names.includes(name) ? (record.spellings?.[name] ?? []) : []))
  const written = [...new Set([...earlier, ...(spelling === undefined ? [] : [spelling])])]
  return index.map((record) => {
    const rest = withoutSpelling(withoutName(record, name), given)
    if (record.manifest !== manifest) return rest
    const spellings = written.length === 0 ? rest.spellings : { ...rest.spellings, [name]: written }
    const names = record.names.includes(name) ? record.names : [...rest.names, name]
    return { ...rest, names, spellings }
  })
}

/** Takes a name from an image, or only one of several ways in which it was written. */
export function withoutName(record: ImageRecord, name: string, spelling?: string): ImageRecord {
  const { [name]: written = [], ...others } = record.spellings ?? {}
  const left = spelling === undefined ? [] : written.filter((one) => one !== spelling)
  if (left.length > 0) return { ...record, spellings: { ...others, [name]: left } }
  return { ...record, names: record.names.filter((other) => other !== name), spellings: others }
}

/** `busybox:latest` for the full name and the way in which its repository was written. */
export function spelledName(name: string, spelling: string): string {
  const reference = parseReference(name)
  return spelling + formatReference(reference).slice(repositoryName(reference).length)
}

/** The same words of one user may mean another place later on: registries.conf says what short names mean. */
function withoutSpelling(record: ImageRecord, { name, spelling }: { name: string; spelling: string | undefined }) {
  if (spelling === undefined) return record
  const taken = spelledName(name, spelling)
  const spellings = Object.entries(record.spellings ?? {}).flatMap(([other, written]) => {
    const left = written.filter((one) => spelledName(other, one) !== taken)
    return left.length === 0 ? [] : [[other, left] as const]
  })
  return { ...record, spellings: Object.fromEntries(spellings) }
}
