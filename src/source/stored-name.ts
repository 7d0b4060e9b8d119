import { basename, resolve } from 'node:path'
import { ForerunError } from '../errors.ts'
import { formatReference, isShortName, parseReference } from '../image/reference.ts'

/** The name of words that are one, completed as `parseReference` does; undefined for others. */
export function completedName(words: string): string | undefined {
  return tryParse(words, () => formatReference(parseReference(words)))
}

/** As `completedName`, for words that say the registry; undefined for those that do not. */
export function registryName(words: string): string | undefined {
  return tryParse(words, () => (isShortName(words) ? undefined : formatReference(parseReference(words))))
}

/**
 * The name under which an image is stored that has none of its own, as Podman makes it: `localhost/BASENAME:TAG`, from the
 * name of its folder or archive. What a reference cannot hold becomes `-`.
 *
 * @param words the image's name there; it is the tag, or when it has a `:` or `/` the whole name after `localhost/`.
 */
export function localName(path: string, words = 'latest'): string {
  const whole = /[/:]/.test(words) ? completedName(`localhost/${words}`) : undefined
  if (whole !== undefined) return whole
  const base = basename(resolve(path)).replace(/\.(?:tar(?:\.(?:gz|zst|bz2|xz))?|tgz|oci)$/, '')
  const repository = base
    .toLowerCase()
    .replace(/[^a-z0-9._-]+|[._-]{2,}/g, '-')
    .replace(/^[._-]+|[._-]+$/g, '')
  const tag = words
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 128)
  return `localhost/${repository.slice(0, 200).replace(/[._-]+$/, '') || 'image'}:${tag || 'latest'}`
}

function tryParse(words: string, parse: () => string | undefined): string | undefined {
  try {
    return words === '' ? undefined : parse()
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'reference') return undefined
    throw error
  }
}
