import * as v from 'valibot'
import { dictionary } from '../../image/descriptor.ts'
import { type Digest, isDigest } from '../../image/digest.ts'
import { SignatureFault } from '../signature-fault.ts'
import { parseStrictJson } from '../strict-json.ts'
import type { Claim } from './claim.ts'

export const statementType = 'application/vnd.in-toto+json'

/**
 * What an in-toto statement says that `cosign sign` made: one claim for each subject. Statements of other things (how an image was
 * built, what is in it) are signed by the same keys, and say nothing of whether it is good.
 *
 * @throws SignatureFault
 */
export function statementClaims(payload: Buffer): Claim[] {
  const { predicateType, subject } = parseStatement(payload)
  if (predicateType !== 'https://sigstore.dev/cosign/sign/v1') {
    const shown = predicateType.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?').slice(0, 200)
    throw new SignatureFault(`is an attestation (${shown}) and no signature of the image`)
  }
  return subject.flatMap(({ digest, annotations }) => {
    const dockerReference = annotations?.['docker-reference']
    if (dockerReference !== undefined && typeof dockerReference !== 'string') {
      throw new SignatureFault('holds a statement that breaks its format: docker-reference')
    }
    return digestsOf(digest).map((claimed) => ({ digest: claimed, dockerReference }))
  })
}

const statementSchema = v.object({
  _type: v.picklist(['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']),
  predicateType: v.string(),
  subject: v.pipe(
    v.array(
      v.object({
        digest: dictionary(v.string()),
        annotations: v.optional(dictionary(v.unknown())),
      }),
    ),
    v.minLength(1),
    v.maxLength(1024),
  ),
})

function parseStatement(payload: Buffer): v.InferOutput<typeof statementSchema> {
  try {
    const result = v.safeParse(statementSchema, parseStrictJson(payload), { abortEarly: true })
    if (result.success) return result.output
    const path = (result.issues[0].path ?? []).map(({ key }) => String(key)).join('.') || 'the whole'
    throw new SignatureFault(`holds a statement that breaks its format: ${path.replace(/\p{Cc}/gu, '?').slice(0, 100)}`)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new SignatureFault(`holds a statement that breaks its format: ${cause.message}`, { cause })
  }
}

function digestsOf(digest: Readonly<Record<string, string>>): Digest[] {
  return Object.entries(digest)
    .map(([algorithm, hex]) => `${algorithm}:${hex}`)
    .filter(isDigest)
}
