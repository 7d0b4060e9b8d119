import { ForerunError } from '../errors.ts'

declare const checked: unique symbol

/** A name for a container that is safe as a file name and as the first part of a unit's name. */
export type ContainerName = string & { readonly [checked]: true }

/**
 * 255 bytes is the limit of file names and of systemd's unit names. `.service`, `tmpfiles-` with `.conf`, the number of
 * a deployment, and what temporary names add, must fit beside the name.
 */
const longest = 200

/** @throws ForerunError `name` when the text has other characters than letters, digits, `_`, `.`, `-`, or is too long. */
export function parseContainerName(text: string): ContainerName {
  if (text === '') throw invalid('the name of the container is empty')
  if (text.length > longest) {
    throw invalid(`the name of the container has ${text.length} characters; the limit is ${longest}`)
  }
  if (!isContainerName(text)) {
    throw invalid(`'${text.replace(/\p{Cc}/gu, '?')}' is not a name for a container`)
  }
  return text
}

function isContainerName(text: string): text is ContainerName {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)
}

function invalid(message: string): ForerunError {
  return new ForerunError('name', message, {
    hint: `Give one with --name: letters, digits, '_', '.' and '-', starting with a letter or digit, at most ${longest}.`,
  })
}
