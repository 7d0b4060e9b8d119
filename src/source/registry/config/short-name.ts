import { ForerunError } from '../../../errors.ts'
import type { RegistryLocation } from '../../../image/location.ts'
import { parseReference, type Reference } from '../../../image/reference.ts'
import type { RegistriesConf } from './registries-conf.ts'

/** The images that a short name may mean, in the order in which to try them. */
export interface ShortNameCandidates {
  /** Full names. At least one. */
  readonly candidates: readonly RegistryLocation[]
  /** The file that decided; undefined when the name was full, or no file says anything. */
  readonly file: string | undefined
}

/**
 * What a name means that has no registry, to a program that cannot ask (containers-registries.conf(5), "Short-Name
 * Aliasing"): the image of its alias; else that name in each search registry, in order. Where nothing is said
 * it is Docker's registry, as everywhere.
 *
 * @throws ForerunError `reference` when `short-name-mode` is `enforcing` and several registries could be meant, or the
 *   list of search registries is there and empty.
 */
export function shortNameCandidates(conf: RegistriesConf, location: RegistryLocation): ShortNameCandidates {
  const { shortName, reference } = location
  if (shortName === undefined) return { candidates: [location], file: undefined }
  const alias = conf.aliases.get(repositoryWords(shortName))
  if (alias?.target !== undefined)
    return { candidates: [located({ ...reference, ...nameOf(alias.target) })], file: alias.file }
  if (conf.search === undefined) return { candidates: [located(reference)], file: undefined }
  const { registries, file } = conf.search
  const fullNames = registries.map((host) => `${host}/${shortName}`)
  if (registries.length === 0) {
    throw new ForerunError('reference', `'${shortName}' names no registry, and ${file} lists none to search`, {
      hint: `Write the full name, for example docker.io/${reference.path}.`,
    })
  }
  if (registries.length > 1 && conf.shortNameMode === 'enforcing') {
    throw new ForerunError(
      'reference',
      `'${shortName}' may be any of ${fullNames.join(', ')}; short-name-mode is enforcing`,
      {
        hint: `Write one of these, or an alias for '${repositoryWords(shortName)}' under [aliases] in /etc/containers/registries.conf.d.`,
      },
    )
  }
  return { candidates: fullNames.map((name) => located(parseReference(name))), file }
}

/** A short name has no port: what comes after a colon is a tag. */
function repositoryWords(shortName: string): string {
  return shortName.replace(/[@:].*$/, '')
}

function nameOf({ domain, path }: Reference): Pick<Reference, 'domain' | 'path'> {
  return { domain, path }
}

function located(reference: Reference): RegistryLocation {
  return { transport: 'docker', reference, shortName: undefined }
}
