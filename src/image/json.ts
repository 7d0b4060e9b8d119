import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { refuseDeepJson } from './text-limits.ts'

/**
 * Reads a JSON document of a registry against a schema. `document` names it in the error: `the manifest`.
 *
 * @throws ForerunError `manifest` when the bytes are not UTF-8, not JSON, or not of that shape, `limit` when it has too many levels.
 */
export function parseJson<Schema extends v.GenericSchema>(
  bytes: Uint8Array,
  schema: Schema,
  { document }: { document: string },
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, decode(bytes, document), { abortEarly: true })
  if (result.success) return result.output
  throw malformed(`${document} is malformed: ${issueText(result.issues[0])}`)
}

/** The error for a document that breaks its specification. */
export function malformed(message: string, options: { cause?: unknown } = {}): ForerunError {
  return new ForerunError('manifest', message, { ...options, hint: 'Build or push the image again.' })
}

/** `layers[1].size: negative`; `root` is what the document's own members belong to. */
export function issueText(issue: v.BaseIssue<unknown>, root = ''): string {
  const path = (issue.path ?? []).reduce((before, { key }) => {
    if (typeof key === 'number') return `${before}[${key}]`
    return before === '' ? String(key) : `${before}.${String(key)}`
  }, root)
  const message = issue.message.replace(/\p{Cc}/gu, '?').slice(0, 200)
  return path === '' ? message : `${path}: ${message}`
}

function decode(bytes: Uint8Array, document: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    refuseDeepJson(document, text)
    return JSON.parse(text)
  } catch (cause) {
    if (cause instanceof ForerunError) throw cause
    // TextDecoder throws a TypeError, JSON.parse a SyntaxError; neither quotes the bytes well.
    throw malformed(`${document} is not JSON`, { cause })
  }
}
