import { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'
import { readRegistriesConf } from '../config/registries-conf.ts'
import type { CredentialSource, Credentials } from '../transport/registry.ts'
import { type AuthFile, entryCredentials, readAuthFile } from './auth-file.ts'
import { type AuthScope, helperKeys, storeServer } from './auth-key.ts'
import { type AuthPlace, authPlaces } from './auth-places.ts'
import { credentialsOfHelper } from './credential-helper.ts'

export interface CredentialOptions extends ContainersPlace {
  /** A file in place of all others. It has to be there. */
  readonly authfile?: string | undefined
  /** `USER[:PASSWORD]`, in place of all files. */
  readonly creds?: string | undefined
  /** The registry that `creds` are for; to another one, as a mirror is, they are not told. Default: to any. */
  readonly registry?: string | undefined
  /** Asks a person for the password that `creds` lacks. Default: there is nobody to ask. */
  readonly askPassword?: ((user: string, registry: string) => Promise<string>) | undefined
  /** `credential-helpers`, first to last. Default: those of registries.conf. */
  readonly helpers?: readonly string[] | undefined
  /** Milliseconds that a credential helper may take. Default 30,000. */
  readonly helperTimeout?: number
}

/** The name that `credential-helpers` of registries.conf has for the files of `authPlaces`. */
export const fileHelper = 'containers-auth.json'

/**
 * Looks up whom to be, as containers-auth.json(5) says, for a repository or, with an empty path, for a whole registry.
 * Each file is read once. Where the place is found, and where else it was looked, is told by a `debug` event.
 *
 * @throws ForerunError `usage` for `creds` without a user. The source throws `credentials`, and `interrupted` when the signal aborts.
 */
export function credentialSource(options: CredentialOptions = {}): CredentialSource {
  const given = options.creds === undefined ? undefined : givenCredentials(options.creds, options)
  const lookup = storedCredentials(options)
  return async (scope, context) => {
    const isFor = options.registry === undefined || options.registry === scope.domain
    if (given !== undefined && isFor) return given(scope.domain)
    return (await lookup(scope, context))?.credentials
  }
}

/** As `credentialSource`, of what is stored alone, with the place where it was found: a file or a helper. */
export function storedCredentials(
  options: CredentialOptions,
): (scope: AuthScope, context: TransferContext) => Promise<{ credentials: Credentials; place: string } | undefined> {
  const places = authPlaces(options.authfile, options)
  const files = new Map<AuthPlace, Promise<AuthFile | undefined>>()
  const read = (place: AuthPlace) => {
    const reading = files.get(place) ?? readAuthFile(place)
    files.set(place, reading)
    return reading
  }
  return async (scope, context) => {
    const failures: unknown[] = []
    const lookedAt: string[] = []
    for (const helper of options.helpers ?? readRegistriesConf(options).credentialHelpers) {
      try {
        const found =
          helper === fileHelper
            ? await inFiles(places, { read, scope, lookedAt, options, context })
            : await inHelper(helper, { server: scope.domain, namedIn: 'registries.conf' }, { options, context })
        if (found !== undefined) {
          debug(context, scope, { found: found.place })
          return found
        }
        if (helper !== fileHelper) lookedAt.push(`docker-credential-${helper}`)
      } catch (error) {
        // The next helper may know; containers-registries.conf(5).
        if (!(error instanceof ForerunError) || error.code !== 'credentials') throw error
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
    debug(context, scope, { found: 'nothing', lookedAt })
    return undefined
  }
}

/** The password is asked for once, when a registry first wants it. */
function givenCredentials(
  creds: string,
  { askPassword }: CredentialOptions,
): (registry: string) => Promise<Credentials> {
  const colon = creds.indexOf(':')
  const user = colon < 0 ? creds : creds.slice(0, colon)
  if (user === '') throw new ForerunError('usage', '--creds has no user', { hint: 'Write --creds USER[:PASSWORD].' })
  if (colon >= 0) return async () => ({ user, password: creds.slice(colon + 1) })
  if (askPassword === undefined) {
    throw new ForerunError('usage', '--creds has no password, and there is no terminal to ask on', {
      hint: 'Write --creds USER:PASSWORD, or log in before: forerun login --password-stdin REGISTRY',
    })
  }
  let asked: Promise<string> | undefined
  return async (registry) => {
    asked ??= askPassword(user, registry)
    return { user, password: await asked }
  }
}

interface Lookup {
  readonly options: CredentialOptions
  readonly context: TransferContext
}

async function inFiles(
  places: readonly AuthPlace[],
  lookup: Lookup & { read: (place: AuthPlace) => Promise<AuthFile | undefined>; scope: AuthScope; lookedAt: string[] },
): Promise<{ credentials: Credentials; place: string } | undefined> {
  for (const place of places) {
    const file = await lookup.read(place)
    const found = file === undefined ? undefined : await inFile(file, lookup.scope, lookup)
    if (found !== undefined) return found
    lookup.lookedAt.push(place.path)
  }
  return undefined
}

async function inFile(file: AuthFile, scope: AuthScope, lookup: Lookup) {
  const namedIn = file.path
  for (const { key, server } of helperKeys(scope.domain)) {
    const helper = file.credHelpers.get(key)
    // An empty name takes the registry out of credsStore, as docker has it.
    if (helper) return inHelper(helper, { server, namedIn }, lookup)
  }
  const credentials = entryCredentials(file, scope)
  if (credentials !== undefined) return { credentials, place: file.path }
  if (file.credsStore === undefined || file.credHelpers.has(scope.domain)) return undefined
  return inHelper(file.credsStore, { server: storeServer(scope.domain), namedIn }, lookup)
}

async function inHelper(
  name: string,
  asked: { server: string; namedIn: string },
  { options: { environment, helperTimeout }, context: { signal } }: Lookup,
): Promise<{ credentials: Credentials; place: string } | undefined> {
  const credentials = await credentialsOfHelper({
    ...asked,
    name,
    signal,
    ...(environment !== undefined && { environment }),
    ...(helperTimeout !== undefined && { timeout: helperTimeout }),
  })
  return credentials === undefined ? undefined : { credentials, place: `docker-credential-${name}` }
}

function debug({ emit }: TransferContext, { domain, path }: AuthScope, fields: Record<string, unknown>): void {
  emit({
    type: 'debug',
    message: 'credentials',
    fields: { for: path === '' ? domain : `${domain}/${path}`, ...fields },
  })
}
