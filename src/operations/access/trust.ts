import { mkdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { writeFileDurably } from '../../host/durable-file.ts'
import { namingFullDisk } from '../../host/full-disk.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import { requireRootOnly } from '../../host/root-only.ts'
import type { ContainersPlace } from '../../source/registry/config/containers-folders.ts'
import { type PlannedFile, plannedStorage } from '../../source/registry/config/registries-d-edit.ts'
import { editedPolicy, type PolicyEntry, type WrittenRequirement } from '../../trust/edit-policy.ts'
import { binaryKeyring } from '../../trust/openpgp-keyring.ts'
import { type PolicyPlaces, policyPlaces, readPolicyFile } from '../../trust/read-policy.ts'
import { parsePublicKey } from '../../trust/sigstore/public-key.ts'
import type { Context } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { parseTrustScope } from './trust-scope.ts'

export interface TrustRequest {
  /** `REGISTRY[/NAMESPACE…]`, a path, or `default`. */
  readonly scope: string
  /** Default `docker`. */
  readonly transport?: string
  readonly type: 'insecureAcceptAnything' | 'reject' | 'signedBy' | 'sigstoreSigned'
  /** Files of keys. With several, the image must be signed by each. */
  readonly keys?: readonly string[]
  /** `type` of `signedIdentity`; default: that of the policy, `matchRepoDigestOrExact`. */
  readonly identity?: string
  /** Where OpenPGP signatures are: `file:///…`, `http://…` or `https://…`. */
  readonly lookaside?: string
  /** Default: this one, as this user sees it. */
  readonly host?: ContainersPlace
}

export interface TrustChange {
  /** The files that were written. */
  readonly written: readonly string[]
  readonly transport: string
  readonly scope: string
}

/**
 * Says in the host's policy.json what is required of some images, in place of what it said of them before. Where they are
 * to be signed, registries.d is told where to look for signatures.
 *
 * @throws ForerunError `usage` for a scope, a key or an address that is none; `policy` when the file cannot be understood. The host is
 * then as it was.
 */
export async function addTrust(request: TrustRequest, context: Context): Promise<TrustChange> {
  const entry = parseTrustScope(request.scope, request.transport ?? 'docker')
  const requirements = writtenRequirements(request)
  using _lock = await lockHost('trust', context)
  const storage = storageFor(entry, request)
  const policy = plannedPolicy({ entry, requirements }, request)
  if (policy === undefined) throw new Error('an entry that is added is there')
  return { written: writeAll([...(storage === undefined ? [] : [storage]), policy]), ...shownEntry(entry) }
}

/** Removes what policy.json says of a scope. @throws ForerunError `policy` when it says nothing of it. */
export async function deleteTrust(
  { scope, transport = 'docker', host }: Pick<TrustRequest, 'scope' | 'transport' | 'host'>,
  context: Context,
): Promise<TrustChange> {
  const entry = parseTrustScope(scope, transport)
  if (entry === 'default') {
    throw new ForerunError('usage', 'the default cannot be deleted', {
      hint: 'Write: forerun trust default accept|reject',
    })
  }
  using _lock = await lockHost('trust', context)
  const policy = plannedPolicy({ entry, requirements: undefined }, { host })
  if (policy !== undefined) return { written: writeAll([policy]), transport, scope }
  throw new ForerunError('policy', `policy.json says nothing of ${transport}: ${scope || "''"}`, {
    hint: 'See what it says: forerun trust show',
  })
}

/** What is required of images of which policy.json says nothing else. */
export async function setDefaultTrust(
  type: 'accept' | 'reject',
  context: Context,
  host: ContainersPlace = {},
): Promise<TrustChange> {
  return addTrust({ scope: 'default', type: type === 'accept' ? 'insecureAcceptAnything' : 'reject', host }, context)
}

function writtenRequirements({ type, keys = [], identity }: TrustRequest): WrittenRequirement[] {
  const isSigned = type === 'signedBy' || type === 'sigstoreSigned'
  if (!isSigned && (keys.length > 0 || identity !== undefined)) {
    throw new ForerunError('usage', `${type} takes no keys and no identity`, {
      hint: 'Write --type signedBy or --type sigstoreSigned.',
    })
  }
  if (!isSigned) return [{ type }]
  if (keys.length === 0) {
    throw new ForerunError('usage', `${type} needs a key`, { hint: 'Write the file of a public key: --pubkeys FILE' })
  }
  const common = identity === undefined ? {} : { signedIdentity: { type: identity } }
  return keys.map((key) => {
    const keyPath = resolve(key)
    checkKey(keyPath, type)
    return { type, ...(type === 'signedBy' && { keyType: 'GPGKeys' }), keyPath, ...common }
  })
}

/** A key that cannot be used would only be noticed by the next pull. */
function checkKey(path: string, type: 'signedBy' | 'sigstoreSigned'): void {
  requireRootOnly(path, 'usage')
  const bytes = readKey(path)
  if (type === 'signedBy') binaryKeyring(bytes, { name: path })
  else if (parsePublicKey(bytes.toString('utf8')) === undefined) {
    throw new ForerunError('usage', `${path} is no public key`, {
      hint: 'Sigstore wants one that begins with -----BEGIN PUBLIC KEY-----, as cosign writes it to cosign.pub.',
    })
  }
}

function readKey(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new ForerunError('usage', `the key ${path} cannot be read (${code})`, { hint: 'Check the file.', cause })
  }
}

function storageFor(entry: PolicyEntry, { type, lookaside, host }: TrustRequest): PlannedFile | undefined {
  const attachments = type === 'sigstoreSigned' ? true : undefined
  if (entry !== 'default' && entry.transport === 'docker' && entry.scope !== '') {
    return plannedStorage(entry.scope, { lookaside, attachments }, host)
  }
  if (lookaside === undefined) return undefined
  throw new ForerunError('usage', 'only the images of a registry have signatures elsewhere', {
    hint: 'Leave out --lookaside, or write the registry as the scope.',
  })
}

function plannedPolicy(
  change: Parameters<typeof editedPolicy>[1],
  { host }: { host?: ContainersPlace | undefined },
): PlannedFile | undefined {
  const { file, before } = currentPolicy(policyPlaces(host?.environment))
  const text = editedPolicy(before, change, { file })
  return text === undefined ? undefined : { path: file, text }
}

/** The file in force. What a package brought is not edited: the administrator's file goes before it. */
function currentPolicy({ files }: PolicyPlaces): { file: string; before: Buffer | undefined } {
  for (const file of files) {
    const before = readPolicyFile(file)
    if (before !== undefined) return { file: file.startsWith('/usr/share/') ? systemPolicy : file, before }
  }
  return { file: files.length === 1 ? (files[0] ?? systemPolicy) : systemPolicy, before: undefined }
}

const systemPolicy = '/etc/containers/policy.json'

/**
 * Each file is replaced in one step. The policy comes last: a power cut before it leaves no more than an address at which
 * nobody looks.
 */
function writeAll(files: readonly PlannedFile[]): string[] {
  const undo: (() => void)[] = []
  try {
    for (const file of files) undo.unshift(write(file))
  } catch (error) {
    for (const each of undo) each()
    throw unwritable(error, files)
  }
  return files.map(({ path }) => path)
}

function unwritable(error: unknown, files: readonly PlannedFile[]): unknown {
  const path = files.at(-1)?.path ?? systemPolicy
  const { syscall, code } = error as NodeJS.ErrnoException
  const named = namingFullDisk(error, dirname(path))
  if (named !== error || syscall === undefined) return named
  return new ForerunError('host-file', `${path} cannot be written (${code})`, {
    hint: 'See to the folder, and whether its file system is mounted read-only.',
    cause: error,
  })
}

/** @returns what puts it back. */
function write({ path, text }: PlannedFile): () => void {
  const made = mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  const before = readWhenPresent(path)
  // A link to the file stays one.
  const target = before === undefined ? path : realpathSync(path)
  const mode = before === undefined ? 0o644 : statSync(target).mode & 0o7777
  const undo = (): void => {
    if (before !== undefined) writeFileDurably(target, before, { mode })
    else rmSync(made ?? path, { recursive: true, force: true })
  }
  try {
    writeFileDurably(target, text, { mode })
  } catch (error) {
    if (made !== undefined) rmSync(made, { recursive: true, force: true })
    throw error
  }
  return undo
}

function shownEntry(entry: PolicyEntry): { transport: string; scope: string } {
  return entry === 'default' ? { transport: '', scope: 'default' } : entry
}
