import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { ForerunError } from '../../../errors.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import { absent, dictionary } from '../../../image/descriptor.ts'
import { parseJson } from '../../../image/json.ts'
import type { Credentials } from '../transport/registry.ts'
import { type AuthScope, fittingKeys, registryOfKey } from './auth-key.ts'
import type { AuthPlace } from './auth-places.ts'

/** A file like `auth.json` or docker's `config.json` (containers-auth.json(5)). */
export interface AuthFile {
  readonly path: string
  readonly format: AuthPlace['format']
  /** By key, in the order of the file. */
  readonly auths: ReadonlyMap<string, AuthEntry>
  /** Suffix of the helper's name, by registry. */
  readonly credHelpers: ReadonlyMap<string, string>
  /** Of the helper for everything. */
  readonly credsStore: string | undefined
}

export interface AuthEntry {
  /** USER:PASSWORD in base64. */
  readonly auth?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly identitytoken?: string | undefined
}

/**
 * Reads a file with credentials; undefined when there is none.
 *
 * @throws ForerunError `credentials` when it is malformed or cannot be read, or was named and is not there. Never quotes
 * the file.
 */
export async function readAuthFile(place: AuthPlace): Promise<AuthFile | undefined> {
  const bytes = await readPlace(place)
  return bytes === undefined ? undefined : parseAuthFile(bytes, place)
}

/** As `readAuthFile`, of the bytes. An empty file has no entries. */
export function parseAuthFile(bytes: Uint8Array, { path, format }: Pick<AuthPlace, 'path' | 'format'>): AuthFile {
  const isEmpty = Buffer.from(bytes).toString('latin1').trim() === ''
  const schema = format === 'dockercfg' ? oldFileSchema : fileSchema
  const { auths, credHelpers, credsStore } = isEmpty ? {} : parseDocument(bytes, schema, path)
  return {
    path,
    format,
    auths: new Map(Object.entries(auths ?? {}).map(([key, entry]) => [key, entry ?? {}])),
    credHelpers: new Map(Object.entries(credHelpers ?? {})),
    credsStore: credsStore || undefined,
  }
}

/**
 * What the entries of a file say for a registry or a part of it: the closest key, else an older spelling of the
 * registry's. Entries without a secret, as docker leaves them beside a helper, say nothing.
 *
 * @throws ForerunError `credentials` when the entry cannot be read.
 */
export function entryCredentials(file: AuthFile, scope: AuthScope): Credentials | undefined {
  for (const key of fittingKeys(scope)) {
    const found = decodeEntry(file, key)
    if (found !== undefined) return found
  }
  const older = [...file.auths.keys()].filter((key) => registryOfKey(key, file.format) === scope.domain)
  for (const key of older) {
    const found = decodeEntry(file, key)
    if (found !== undefined) return found
  }
  return undefined
}

async function readPlace({ path, isNamed, isChosen, isPrivate }: AuthPlace): Promise<Buffer | undefined> {
  if (!isChosen) requireRootOnly(path, 'credentials')
  try {
    return await readFile(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const isAbsent = code === 'ENOENT' || code === 'ENOTDIR'
    if (isAbsent && isNamed) {
      throw new ForerunError('credentials', `there is no file ${path}`, {
        hint: `It was named for credentials (--authfile, or REGISTRY_AUTH_FILE). Write it: forerun login --authfile ${path} REGISTRY`,
        cause,
      })
    }
    if (isAbsent || (isPrivate && code === 'EACCES')) return undefined
    throw new ForerunError('credentials', `${path} cannot be read (${code})`, {
      hint: 'It may hold credentials. Make it readable, or name another file with --authfile.',
      cause,
    })
  }
}

// Messages of their own: those of valibot quote what was found.
const text = v.string('not a string')
const object = v.custom<object>((input) => typeof input === 'object' && !Array.isArray(input), 'not an object')
const entrySchema = v.pipe(
  object,
  v.object(
    { auth: absent(text), username: absent(text), password: absent(text), identitytoken: absent(text) },
    'not an object',
  ),
)
const auths = dictionary(absent(entrySchema))
const fileSchema = v.pipe(
  object,
  v.object({ auths: absent(auths), credHelpers: absent(dictionary(text)), credsStore: absent(text) }, 'not an object'),
)
const oldFileSchema = v.pipe(
  auths,
  v.transform((entries) => ({ auths: entries, credHelpers: undefined, credsStore: undefined })),
)

function parseDocument<Schema extends v.GenericSchema>(bytes: Uint8Array, schema: Schema, path: string) {
  try {
    return parseJson(bytes, schema, { document: path })
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    // Without its cause, which quotes the text beside the fault.
    throw new ForerunError('credentials', error.message, { hint: malformedHint })
  }
}

const malformedHint = 'Mend the file, or write it anew: forerun login REGISTRY; see containers-auth.json(5).'

function decodeEntry({ path, auths }: AuthFile, key: string): Credentials | undefined {
  const { auth, username, password, identitytoken } = auths.get(key) ?? {}
  if (identitytoken) return { identityToken: identitytoken }
  if (auth) {
    const decoded = decodeAuth(auth)
    if (decoded === undefined) {
      const message = `the entry '${key}' of ${path} is malformed: auth is not USER:PASSWORD in base64`
      throw new ForerunError('credentials', message, { hint: malformedHint })
    }
    return decoded.user !== '' && decoded.password !== '' ? decoded : undefined
  }
  // As Kubernetes' secrets have it.
  return username && password ? { user: username, password } : undefined
}

/** The password may have colons in it. */
function decodeAuth(auth: string): { user: string; password: string } | undefined {
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(auth)) return undefined
  const bytes = Buffer.from(auth, 'base64')
  const colon = bytes.indexOf(':')
  const decoded = bytes.toString('utf8')
  if (colon < 0 || !Buffer.from(decoded, 'utf8').equals(bytes)) return undefined
  // Some tools have written the bytes of a C string.
  const password = bytes.subarray(colon + 1).toString('utf8')
  return { user: bytes.subarray(0, colon).toString('utf8'), password: password.replace(/^\0+|\0+$/g, '') }
}
