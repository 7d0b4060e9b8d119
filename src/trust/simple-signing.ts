import * as v from 'valibot'
import { dictionary, digestSchema } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import { SignatureFault } from './signature-fault.ts'
import { parseStrictJson } from './strict-json.ts'

/** What a signature of the "simple signing" format says: containers-signature(5). */
export interface SimpleSigning {
  readonly digest: Digest
  /** The name for which the image was signed, as written. */
  readonly dockerReference: string
}

/**
 * Reads the document that was signed. Every member that its reader must understand is known here, or it is refused.
 *
 * @param type `critical.type`. cosign writes its own, and `optional` as null when it is empty.
 * @throws SignatureFault
 */
export function parseSimpleSigning(payload: Uint8Array, { type }: { type: SimpleSigningType }): SimpleSigning {
  const result = v.safeParse(schemas[type], read(payload), { abortEarly: true })
  if (!result.success) throw new SignatureFault(describe(result.issues[0]))
  const { image, identity } = result.output.critical
  return { digest: image['docker-manifest-digest'], dockerReference: identity['docker-reference'] }
}

export type SimpleSigningType = keyof typeof schemas

/** A whole number of seconds is all that is asked of the time; nothing is decided by it. */
const optionalSchema = v.pipe(
  dictionary(v.unknown()),
  v.looseObject({ creator: v.optional(v.string()), timestamp: v.optional(v.pipe(v.number(), v.integer())) }),
)

function documentSchema<Type extends string, Optional extends v.GenericSchema>(type: Type, optional: Optional) {
  return v.strictObject({
    critical: v.strictObject({
      type: v.literal(type),
      image: v.strictObject({ 'docker-manifest-digest': digestSchema }),
      identity: v.strictObject({ 'docker-reference': v.string() }),
    }),
    optional,
  })
}

const schemas = {
  'atomic container signature': documentSchema('atomic container signature', optionalSchema),
  'cosign container image signature': documentSchema(
    'cosign container image signature',
    v.nullable(dictionary(v.unknown())),
  ),
}

function read(payload: Uint8Array): unknown {
  try {
    return parseStrictJson(payload)
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new SignatureFault(`holds a document that breaks its format: ${error.message}`)
    throw error
  }
}

function describe(issue: v.BaseIssue<unknown>): string {
  const path = (issue.path ?? []).map(({ key }) => String(key)).join('.') || 'the whole'
  const shown = path.replace(/\p{Cc}/gu, '?').slice(0, 100)
  if (issue.expected === 'never') return `holds '${shown}', which forerun does not understand`
  return `holds a document that breaks its format: ${shown}`
}
