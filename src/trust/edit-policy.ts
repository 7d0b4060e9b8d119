import { parsePolicy } from './parse-policy.ts'

/** A requirement as it is written; `parsePolicy` reads it. */
export type WrittenRequirement = Readonly<Record<string, unknown>> & { readonly type: string }

/** Of which images; `scope` is '' for the default of a transport, and both are for the default of all. */
export type PolicyEntry = { readonly transport: string; readonly scope: string } | 'default'

interface WrittenPolicy {
  default: unknown
  transports?: Record<string, Record<string, unknown>>
}

/**
 * The text of a policy.json with other requirements for some images. All else that the file says is kept; how it was
 * laid out is not. What comes out has been read as any policy is, so that no edit can spoil the file.
 *
 * @param before the file's content; undefined for none, which becomes one that accepts everything else, as no file does.
 * @param change `requirements` undefined: remove the entry.
 * @returns undefined when the entry to be removed is not there.
 * @throws ForerunError `policy` when the file, or what it would become, cannot be understood.
 */
export function editedPolicy(
  before: Buffer | undefined,
  change: { entry: PolicyEntry; requirements: readonly WrittenRequirement[] | undefined },
  { file }: { file: string },
): string | undefined {
  const policy = before === undefined ? nothing() : parsed(before, file)
  if (!edit(policy, change)) return undefined
  const text = `${JSON.stringify(policy, undefined, 4)}\n`
  parsePolicy(Buffer.from(text), { file })
  return text
}

function nothing(): WrittenPolicy {
  return { default: [{ type: 'insecureAcceptAnything' }] }
}

function parsed(bytes: Buffer, file: string): WrittenPolicy {
  parsePolicy(bytes, { file })
  return JSON.parse(bytes.toString('utf8')) as WrittenPolicy
}

function edit(
  policy: WrittenPolicy,
  { entry, requirements }: { entry: PolicyEntry; requirements: readonly WrittenRequirement[] | undefined },
): boolean {
  if (entry === 'default') {
    policy.default = requirements
    return requirements !== undefined
  }
  const { transport, scope } = entry
  const scopes = policy.transports?.[transport] ?? {}
  policy.transports = { ...policy.transports, [transport]: scopes }
  const isThere = Object.hasOwn(scopes, scope)
  if (requirements !== undefined) scopes[scope] = requirements
  else delete scopes[scope]
  return requirements !== undefined || isThere
}
