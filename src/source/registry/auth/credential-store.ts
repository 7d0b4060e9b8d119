import { ForerunError } from '../../../errors.ts'
import type { TransferContext } from '../../source.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'
import { readRegistriesConf } from '../config/registries-conf.ts'
import type { AuthFile } from './auth-file.ts'
import { changeAuths, editableAuthFile } from './auth-file-edit.ts'
import { type AuthScope, fittingKeys, helperKeys, registryOfKey, storeServer } from './auth-key.ts'
import { loginFile } from './auth-places.ts'
import { eraseWithHelper, type HelperCall, storeWithHelper } from './credential-helper.ts'
import { fileHelper } from './credentials.ts'

export interface CredentialStoreOptions extends ContainersPlace {
  /** The file to edit. Default: the first of the places of containers-auth.json(5). */
  readonly authfile?: string | undefined
}

/**
 * Keeps credentials where podman and skopeo look for them: in the file, in the helper that it names, or in the first of
 * registries.conf's helpers that takes them. Returns the place: a path, or a helper's program.
 *
 * @throws ForerunError `credentials`.
 */
export async function storeCredentials(
  scope: AuthScope,
  credentials: { user: string; password: string },
  { context, ...options }: CredentialStoreOptions & { context: TransferContext },
): Promise<string> {
  const failures: ForerunError[] = []
  for (const name of readRegistriesConf(options).credentialHelpers) {
    try {
      if (name === fileHelper) return await storeByFile(scope, credentials, { ...options, context })
      const call = { name, server: scope.domain, namedIn: 'registries.conf' }
      return await storeByHelper(scope, credentials, helperCall(call, { ...options, context }))
    } catch (error) {
      if (!(error instanceof ForerunError) || error.code !== 'credentials') throw error
      context.emit({ type: 'debug', message: 'not stored', fields: { helper: name, reason: error.message } })
      failures.push(error)
    }
  }
  throw failures[0] ?? new Error('registries.conf has at least one helper')
}

/**
 * Forgets what is stored for a registry or a part of it, in the file and in the helpers that go with it. Returns the places
 * where there was something; none: it was not logged in there.
 *
 * @throws ForerunError `credentials`.
 */
export async function eraseCredentials(
  scope: AuthScope,
  { context, ...options }: CredentialStoreOptions & { context: TransferContext },
): Promise<string[]> {
  const file = editableAuthFile(loginFile(options.authfile, options))
  const calls = [
    ...helpersOf(file, scope),
    ...readRegistriesConf(options)
      .credentialHelpers.filter((name) => name !== fileHelper)
      .map((name) => ({ name, server: scope.domain, namedIn: 'registries.conf' })),
  ]
  const keys = [...file.auths.keys()].filter((key) => isOf(key, scope))
  if (keys.length > 0) changeAuths(file.path, new Map(keys.map((key) => [key, undefined])))
  // An empty entry only says that a helper has the secret.
  const isSecret = keys.some((key) => Object.values(file.auths.get(key) ?? {}).some(Boolean))
  const places = isSecret ? [file.path] : []
  // Helpers know whole registries only.
  for (const call of scope.path === '' ? calls : []) {
    if (await eraseWithHelper(helperCall(call, { ...options, context }))) places.push(programOf(call))
  }
  return places
}

/** The registries and parts of them for which the file, or a helper that it names, has something. */
export function storedScopes(options: CredentialStoreOptions): AuthScope[] {
  const file = editableAuthFile(loginFile(options.authfile, options))
  const keys = [...file.auths.keys(), ...file.credHelpers.keys()].map((key) => registryOfKey(key, file.format))
  return [...new Set(keys)].map((key) => {
    const slash = key.indexOf('/')
    return slash < 0 ? { domain: key, path: '' } : { domain: key.slice(0, slash), path: key.slice(slash + 1) }
  })
}

type Options = CredentialStoreOptions & { context: TransferContext }
type Call = Pick<HelperCall, 'name' | 'server' | 'namedIn'>

async function storeByFile(
  scope: AuthScope,
  credentials: { user: string; password: string },
  options: Options,
): Promise<string> {
  const file = editableAuthFile(loginFile(options.authfile, options))
  const key = fittingKeys(scope)[0] ?? scope.domain
  const [own] = helpersOf(file, scope)
  const isForAll = own?.isForAll === true
  // Helpers know whole registries. A part of one can be in the file where the helper is asked after that.
  if (own === undefined || (isForAll && scope.path !== '')) {
    const auth = Buffer.from(`${credentials.user}:${credentials.password}`, 'utf8').toString('base64')
    changeAuths(file.path, new Map([[key, { auth }]]))
    return file.path
  }
  const place = await storeByHelper(scope, credentials, helperCall(own, options))
  // As docker leaves it: the name alone, and no older secret beside the helper.
  if (isForAll) changeAuths(file.path, new Map([[key, {}]]))
  return place
}

async function storeByHelper(
  scope: AuthScope,
  credentials: { user: string; password: string },
  call: HelperCall,
): Promise<string> {
  if (scope.path !== '') {
    const message = `${programOf(call)}, which ${call.namedIn} names, keeps no credentials for a part of a registry`
    throw new ForerunError('credentials', message, { hint: `Log in to the whole of it: forerun login ${scope.domain}` })
  }
  await storeWithHelper(call, credentials)
  return programOf(call)
}

/** The helper that the file names for a registry, if any, and whether it is the one for everything. */
function helpersOf(file: AuthFile, { domain }: AuthScope): (Call & { isForAll: boolean })[] {
  for (const { key, server } of helperKeys(domain)) {
    const name = file.credHelpers.get(key)
    if (name) return [{ name, server, namedIn: file.path, isForAll: false }]
  }
  if (file.credsStore === undefined || file.credHelpers.has(domain)) return []
  return [{ name: file.credsStore, server: storeServer(domain), namedIn: file.path, isForAll: true }]
}

/** Whether a key of `auths` says just this; for a whole registry in older spellings, too. */
function isOf(key: string, scope: AuthScope): boolean {
  if (scope.path !== '') return key === fittingKeys(scope)[0]
  return registryOfKey(key, 'auth.json') === scope.domain
}

function helperCall(call: Call, { environment, context: { signal } }: Options): HelperCall {
  return { ...call, signal, ...(environment !== undefined && { environment }) }
}

function programOf({ name }: Call): string {
  return `docker-credential-${name}`
}
