import { posix } from 'node:path'
import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { dictionary } from '../image/descriptor.ts'
import { isDigest } from '../image/digest.ts'
import type { Policy, Requirements } from './policy.ts'
import { requirementsSchema } from './requirement.ts'
import { parseStrictJson } from './strict-json.ts'

/**
 * Reads policy.json as strictly as the containers tools do: containers-policy.json(5). A member that is not known, is
 * there twice or has another shape spoils the whole file, because a policy that is half understood accepts what its
 * author would not.
 *
 * @param file names it in the error.
 * @throws ForerunError `policy`
 */
export function parsePolicy(bytes: Uint8Array, { file }: { file: string }): Policy {
  const { default: initial, transports = {} } = checked(read(bytes, file), file)
  const scopes = Object.entries(transports).map(([name, found]): [string, Map<string, Requirements>] => {
    return [name, new Map(Object.entries(found))]
  })
  return { file, default: initial, transports: new Map(scopes) }
}

function read(bytes: Uint8Array, file: string): unknown {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed(file, error.message)
    throw error
  }
}

const policySchema = v.strictObject({
  default: requirementsSchema,
  transports: v.optional(dictionary(dictionary(requirementsSchema))),
})

function checked(document: unknown, file: string): v.InferOutput<typeof policySchema> {
  const result = v.safeParse(policySchema, document, { abortEarly: true })
  if (!result.success) throw malformed(file, describe(result.issues[0]))
  for (const [transport, scopes] of Object.entries(result.output.transports ?? {})) {
    for (const scope of Object.keys(scopes)) {
      const fault = scope === '' ? undefined : scopeFault(transport, scope)
      if (fault !== undefined) throw malformed(file, `transports.${transport}: the scope '${shown(scope)}' ${fault}`)
    }
  }
  return result.output
}

/** Why a scope can be none of a transport; undefined where it can, and for transports that forerun lacks. */
export function scopeFault(transport: string, scope: string): string | undefined {
  switch (transport) {
    case 'dir':
    case 'oci':
    case 'oci-archive':
      return pathFault(scope)
    case 'docker-archive':
      return "is not '', the only one there"
    case 'docker-daemon':
      return isDigest(scope) ? 'is an image id, which is no scope' : undefined
    case 'containers-storage':
      return /^\[(?:[^@\]]+@)?\/[^\]]*\]/.test(scope) ? undefined : 'does not begin with [DRIVER@/ROOT] or [/ROOT]'
    default:
      return undefined
  }
}

function pathFault(scope: string): string | undefined {
  if (!scope.startsWith('/')) return 'is not an absolute path'
  if (scope === '/') return "must be written ''"
  const plain = posix.normalize(scope).replace(/\/$/, '')
  return plain === scope ? undefined : `must be written '${shown(plain)}'`
}

function describe(issue: v.BaseIssue<unknown>): string {
  const place = placeOf(issue)
  if (issue.expected === 'never') return `${place} is not known`
  if (issue.input === undefined) return `${place} is missing`
  if (issue.kind === 'validation') return `${place}: ${issue.message}`
  return `${place} is ${wordOf(issue.received)}, not ${wordOf(issue.expected ?? '')}`
}

/** From valibot's words: `Array`, `(("a" | "b") | "c")`. */
function wordOf(text: string): string {
  const shapes: Readonly<Record<string, string>> = { Array: 'a list', Object: 'an object', unknown: 'an object' }
  return shapes[text] ?? shown(text.replace(/[()]/g, '').replaceAll(' | ', ' or '))
}

/** `transports.docker["registry.example/team"][0].keyPath` */
function placeOf(issue: v.BaseIssue<unknown>): string {
  let place = ''
  for (const { key } of issue.path ?? []) {
    if (typeof key === 'number') place += `[${key}]`
    else if (/^[\w-]+$/.test(String(key))) place += place === '' ? String(key) : `.${String(key)}`
    else place += `["${shown(String(key))}"]`
  }
  return place === '' ? 'the whole' : place
}

function shown(text: string): string {
  return text.replace(/\p{Cc}/gu, '?').slice(0, 200)
}

function malformed(file: string, fault: string): ForerunError {
  return new ForerunError('policy', `${file} cannot be understood, so that no image is accepted: ${fault}`, {
    hint: 'See containers-policy.json(5), and correct the file.',
  })
}
