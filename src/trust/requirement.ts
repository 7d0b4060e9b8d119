import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { parseReference } from '../image/reference.ts'
import { isNameOnly } from './identity.ts'
import type { KeyMaterial, Requirement, SignedIdentity, SigstoreAuthority } from './policy.ts'

const filePath = v.pipe(v.string(), v.startsWith('/', 'not an absolute path'))
const base64 = v.pipe(
  v.string(),
  v.transform((text) => text.replace(/[\r\n]/g, '')),
  v.nonEmpty('empty'),
  v.base64('not base64'),
  v.transform((text) => Buffer.from(text, 'base64')),
)
const filled = v.pipe(v.string(), v.nonEmpty('empty'))

function listOf<Item extends v.GenericSchema>(item: Item) {
  return v.optional(v.pipe(v.array(item), v.minLength(1, 'empty')))
}

const identitySchema = v.variant('type', [
  v.strictObject({ type: v.picklist(['matchExact', 'matchRepoDigestOrExact', 'matchRepository']) }),
  v.strictObject({
    type: v.literal('exactReference'),
    dockerReference: v.pipe(
      v.string(),
      v.check((words) => isReference(words) && !isNameOnly(words), 'not an image with a tag or digest'),
    ),
  }),
  v.strictObject({
    type: v.literal('exactRepository'),
    dockerRepository: v.pipe(v.string(), v.check(isReference, 'not a repository')),
  }),
  v.strictObject({
    type: v.literal('remapIdentity'),
    prefix: v.pipe(v.string(), v.check(isPrefix, 'not a registry, a namespace in one, or a repository')),
    signedPrefix: v.pipe(v.string(), v.check(isPrefix, 'not a registry, a namespace in one, or a repository')),
  }),
])

const signedIdentity = v.optional(identitySchema, { type: 'matchRepoDigestOrExact' })

const signedBySchema = v.pipe(
  v.strictObject({
    type: v.literal('signedBy'),
    keyType: v.picklist(['GPGKeys', 'signedByGPGKeys', 'X509Certificates', 'signedByX509CAs']),
    keyPath: v.optional(filePath),
    keyPaths: listOf(filePath),
    keyData: v.optional(base64),
    signedIdentity,
  }),
  v.check((found) => count(found.keyPath, found.keyPaths, found.keyData) === 1, oneOf('keyPath, keyPaths, keyData')),
  v.transform(({ type, keyType, keyPath, keyPaths, keyData, signedIdentity: identity }): Requirement => {
    if (keyType !== 'GPGKeys') return { type: 'unsupported', written: `${type} with keyType ${keyType}` }
    return { type, keys: materials({ keyPath, keyPaths, keyData }), signedIdentity: identity as SignedIdentity }
  }),
)

const signedBaseLayerSchema = v.pipe(
  v.strictObject({ type: v.literal('signedBaseLayer'), baseLayerIdentity: identitySchema }),
  v.transform(({ type }): Requirement => ({ type: 'unsupported', written: type })),
)

const fulcioSchema = v.pipe(
  v.strictObject({
    caPath: v.optional(filePath),
    caData: v.optional(base64),
    oidcIssuer: filled,
    subjectEmail: v.optional(filled),
    buildSignerURI: v.optional(filled),
  }),
  v.check(({ caPath, caData }) => count(caPath, caData) === 1, oneOf('caPath, caData')),
  v.check(
    ({ subjectEmail, buildSignerURI }) => count(subjectEmail, buildSignerURI) > 0,
    'wants subjectEmail, buildSignerURI or both',
  ),
  v.transform(({ caPath, caData, oidcIssuer, subjectEmail, buildSignerURI }): SigstoreAuthority => {
    const ca = only(materials({ keyPath: caPath, keyData: caData }))
    return { kind: 'fulcio', ca, oidcIssuer, subjectEmail, buildSignerUri: buildSignerURI }
  }),
)

const pkiSchema = v.pipe(
  v.strictObject({
    caRootsPath: v.optional(filePath),
    caRootsData: v.optional(base64),
    caIntermediatesPath: v.optional(filePath),
    caIntermediatesData: v.optional(base64),
    subjectEmail: v.optional(filled),
    subjectHostname: v.optional(filled),
  }),
  v.check(({ caRootsPath, caRootsData }) => count(caRootsPath, caRootsData) === 1, oneOf('caRootsPath, caRootsData')),
  v.check(
    ({ caIntermediatesPath, caIntermediatesData }) => count(caIntermediatesPath, caIntermediatesData) < 2,
    'wants at most one of caIntermediatesPath, caIntermediatesData',
  ),
  v.check(
    ({ subjectEmail, subjectHostname }) => count(subjectEmail, subjectHostname) > 0,
    'wants subjectEmail, subjectHostname or both',
  ),
  v.transform(({ subjectEmail, subjectHostname, ...found }): SigstoreAuthority => {
    const roots = only(materials({ keyPath: found.caRootsPath, keyData: found.caRootsData }))
    const [intermediates] = materials({ keyPath: found.caIntermediatesPath, keyData: found.caIntermediatesData })
    return { kind: 'pki', roots, intermediates, subjectEmail, subjectHostname }
  }),
)

const sigstoreSignedSchema = v.pipe(
  v.strictObject({
    type: v.literal('sigstoreSigned'),
    keyPath: v.optional(filePath),
    keyPaths: listOf(filePath),
    keyData: v.optional(base64),
    keyDatas: listOf(base64),
    fulcio: v.optional(fulcioSchema),
    pki: v.optional(pkiSchema),
    rekorPublicKeyPath: v.optional(filePath),
    rekorPublicKeyPaths: listOf(filePath),
    rekorPublicKeyData: v.optional(base64),
    rekorPublicKeyDatas: listOf(base64),
    signedIdentity,
  }),
  v.check(
    (found) => count(found.keyPath, found.keyPaths, found.keyData, found.keyDatas, found.fulcio, found.pki) === 1,
    oneOf('keyPath, keyPaths, keyData, keyDatas, fulcio, pki'),
  ),
  v.check((found) => rekorCount(found) < 2, 'wants at most one rekorPublicKey member'),
  v.check(
    (found) => found.fulcio === undefined || rekorCount(found) === 1,
    'wants a rekorPublicKey member with fulcio',
  ),
  v.check((found) => found.pki === undefined || rekorCount(found) === 0, 'wants no rekorPublicKey member with pki'),
  v.transform((found): Requirement => {
    const keys = materials(found)
    const rekorKeys = materials({
      keyPath: found.rekorPublicKeyPath,
      keyPaths: found.rekorPublicKeyPaths,
      keyData: found.rekorPublicKeyData,
      keyDatas: found.rekorPublicKeyDatas,
    })
    const authority = found.fulcio ?? found.pki ?? { kind: 'keys', keys }
    return { type: 'sigstoreSigned', authority, rekorKeys, signedIdentity: found.signedIdentity as SignedIdentity }
  }),
)

const schemas: Readonly<Record<string, v.GenericSchema<unknown, Requirement>>> = {
  insecureAcceptAnything: v.strictObject({ type: v.literal('insecureAcceptAnything') }),
  reject: v.strictObject({ type: v.literal('reject') }),
  signedBy: signedBySchema,
  signedBaseLayer: signedBaseLayerSchema,
  sigstoreSigned: sigstoreSignedSchema,
}

/** Only for what is none of them, so that the issue tells what is. */
const unknownSchema: v.GenericSchema<unknown, Requirement> = v.pipe(
  v.object({ type: v.picklist(Object.keys(schemas)) }),
  v.transform(() => ({ type: 'reject' }) as const),
)

/** The list of requirements of one scope: containers-policy.json(5), "Policy Requirements". */
export const requirementsSchema = v.pipe(v.array(v.lazy(schemaOf)), v.minLength(1, 'empty: it would say nothing'))

function schemaOf(input: unknown): v.GenericSchema<unknown, Requirement> {
  const type = typeof input === 'object' && input !== null && 'type' in input ? input.type : undefined
  return Object.entries(schemas).find(([name]) => name === type)?.[1] ?? unknownSchema
}

function isReference(words: string): boolean {
  try {
    parseReference(words)
    return true
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'reference') return false
    throw error
  }
}

function isPrefix(words: string): boolean {
  const host =
    '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?'
  const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
  return words.length <= 600 && new RegExp(`^${host}(?:/${part})*$`).test(words)
}

function count(...members: readonly unknown[]): number {
  return members.filter((member) => member !== undefined).length
}

function rekorCount(found: Readonly<Record<string, unknown>>): number {
  return Object.keys(found).filter((name) => name.startsWith('rekorPublicKey')).length
}

function oneOf(names: string): string {
  return `wants exactly one of ${names}`
}

function materials(found: {
  keyPath?: string | undefined
  keyPaths?: string[] | undefined
  keyData?: Buffer | undefined
  keyDatas?: Buffer[] | undefined
}): KeyMaterial[] {
  const paths = [...(found.keyPath === undefined ? [] : [found.keyPath]), ...(found.keyPaths ?? [])]
  const datas = [...(found.keyData === undefined ? [] : [found.keyData]), ...(found.keyDatas ?? [])]
  return [...paths.map((path) => ({ path })), ...datas.map((data) => ({ data }))]
}

function only(found: readonly KeyMaterial[]): KeyMaterial {
  const [material] = found
  if (material === undefined) throw new Error('there is one: it was checked')
  return material
}
