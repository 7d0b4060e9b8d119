import { readFileSync } from 'node:fs'
import { ForerunError } from '../../errors.ts'
import { parseLocation } from '../../image/location.ts'
import { shownWords } from '../../image/reference.ts'
import type { ContainersPlace } from '../../source/registry/config/containers-folders.ts'
import { signaturePlaces } from '../../source/registry/config/registries-d.ts'
import { type OpenPgpKey, openPgpKeys } from '../../trust/key-ids.ts'
import {
  type KeyMaterial,
  type Policy,
  type Requirement,
  requirementsFor,
  type SigstoreSignedRequirement,
} from '../../trust/policy.ts'
import { policyPlaces, readPolicy } from '../../trust/read-policy.ts'
import { scopesOf } from '../../trust/scopes.ts'

/** One requirement of policy.json. */
export interface TrustRow {
  /** '' for the default of all. */
  readonly transport: string
  /** `default` for that of a transport, or of all. */
  readonly scope: string
  /** `signedBy`, `reject`, …; of what cannot be checked, the words of containers-policy.json(5). */
  readonly type: string
  readonly keys: readonly TrustKey[]
  /** `type` of `signedIdentity`; undefined where nothing is to be signed. */
  readonly identity: string | undefined
  /** Where signatures are looked for; undefined where nothing is to be signed, or the images' source holds them. */
  readonly store: string | undefined
}

export interface TrustKey {
  /** undefined: it is written in the policy itself. */
  readonly file: string | undefined
  /** undefined: they cannot be told, since the file cannot be read or there is no gpg. */
  readonly keys: readonly OpenPgpKey[] | undefined
}

export interface Trust {
  /** undefined: there is none, and everything is accepted. */
  readonly file: string | undefined
  readonly rows: readonly TrustRow[]
}

/**
 * What the host requires of images.
 *
 * @param host default: this one, as this user sees it.
 * @param words only what is required of these: a scope that policy.json names, else an image.
 * @throws ForerunError `policy` when policy.json cannot be understood; `reference` for words that are neither.
 */
export async function showTrust(words?: string, host: ContainersPlace = {}): Promise<Trust> {
  const policy = readPolicy(policyPlaces(host.environment))
  const entries = [...allEntries(policy)].filter(({ scope }) => words === undefined || scope === words)
  const shown = entries.length === 0 && words !== undefined ? [entryOf(policy, words)] : entries
  const rows: TrustRow[] = []
  for (const entry of shown) rows.push(...(await rowsOf(entry, host)))
  return { file: policy.file, rows }
}

/** policy.json as it is, understood or not. @throws ForerunError `policy` when there is none. */
export function rawTrust(host: ContainersPlace = {}): string {
  const { file } = readPolicy(policyPlaces(host.environment))
  if (file !== undefined) return readFileSync(file, 'utf8').trimEnd()
  throw new ForerunError('policy', 'there is no policy.json, and every image is accepted', {
    hint: 'To make one: forerun trust default reject, or forerun trust add',
  })
}

interface Entry {
  readonly transport: string
  readonly scope: string
  readonly requirements: readonly Requirement[]
}

function* allEntries(policy: Policy): Generator<Entry> {
  yield { transport: '', scope: 'default', requirements: policy.default }
  for (const [transport, scopes] of policy.transports) {
    for (const [scope, requirements] of scopes) yield { transport, scope: scope || 'default', requirements }
  }
}

function entryOf(policy: Policy, words: string): Entry {
  const location = parseLocation(words)
  const { requirements, place } = requirementsFor(policy, { transport: location.transport, scopes: scopesOf(location) })
  const [, transport = '', scope = place] = /^([\w-]+): (.*)$/.exec(place) ?? []
  return { transport, scope, requirements }
}

function rowsOf({ transport, scope, requirements }: Entry, host: ContainersPlace): Promise<TrustRow[]> {
  const rows = requirements.map(async (requirement) => ({
    ...{ transport, scope, keys: await keysOf(requirement) },
    type: requirement.type === 'unsupported' ? requirement.written : requirement.type,
    identity: 'signedIdentity' in requirement ? requirement.signedIdentity.type : undefined,
    store: 'signedIdentity' in requirement && transport === 'docker' ? storeOf(scope, requirement, host) : undefined,
  }))
  return Promise.all(rows)
}

async function keysOf(requirement: Requirement): Promise<TrustKey[]> {
  if (requirement.type === 'signedBy') {
    return Promise.all(requirement.keys.map(async (key) => ({ file: fileOf(key), keys: await keyIds(key) })))
  }
  const materials = requirement.type === 'sigstoreSigned' ? sigstoreMaterials(requirement) : []
  return materials.map((material) => ({ file: fileOf(material), keys: undefined }))
}

function fileOf(material: KeyMaterial): string | undefined {
  return 'path' in material ? material.path : undefined
}

/** That a key is not there is told when an image is judged; here it is one of many. */
async function keyIds(material: KeyMaterial): Promise<OpenPgpKey[] | undefined> {
  try {
    return await openPgpKeys('path' in material ? readFileSync(material.path) : material.data)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) return undefined
    throw error
  }
}

function sigstoreMaterials({ authority }: SigstoreSignedRequirement): readonly KeyMaterial[] {
  if (authority.kind === 'keys') return authority.keys
  return authority.kind === 'fulcio' ? [authority.ca] : [authority.roots]
}

function storeOf(scope: string, { type }: Requirement, host: ContainersPlace): string {
  const slash = scope.indexOf('/')
  const domain = slash < 0 ? scope : scope.slice(0, slash)
  const path = slash < 0 ? '' : scope.slice(slash + 1)
  const { lookaside, attachments } = signaturePlaces({ domain, ...splitPath(path) }, host)
  if (type === 'sigstoreSigned' && attachments) return 'the registry'
  return shownWords(displayed(lookaside))
}

/** Of a scope that is one image, too. */
function splitPath(path: string): { path: string; tag?: string } {
  const [, repository = path, tag] = /^([^:@]*):([^@]+)$/.exec(path) ?? []
  return { path: repository, ...(tag !== undefined && { tag }) }
}

/** User and password may be a part of it. */
function displayed(url: URL): string {
  const shown = new URL(url)
  shown.username = ''
  shown.password = ''
  return shown.href
}
