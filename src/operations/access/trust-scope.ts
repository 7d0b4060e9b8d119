import { ForerunError } from '../../errors.ts'
import { formatReference, parseReference, shownWords } from '../../image/reference.ts'
import type { PolicyEntry } from '../../trust/edit-policy.ts'
import { isNameOnly } from '../../trust/identity.ts'
import { scopeFault } from '../../trust/parse-policy.ts'

/**
 * Reads of which images a user speaks: a scope of policy.json, or `default`. What policy.json may hold but no image could
 * match is refused: it would only seem to protect.
 *
 * @throws ForerunError `usage`
 */
export function parseTrustScope(scope: string, transport: string): PolicyEntry {
  if (scope === 'default') return scope
  if (/[\p{Cc}\s]/u.test(scope)) throw invalid(scope, 'It holds spaces or control characters.')
  const fault = scope === '' ? undefined : scopeFault(transport, scope)
  if (fault !== undefined) throw invalid(scope, `It ${fault}.`)
  if ((transport === 'docker' || transport === 'docker-daemon') && scope !== '') checkRegistryScope(scope)
  return { transport, scope }
}

function checkRegistryScope(scope: string): void {
  if (/^[a-z-]+:\/\//.test(scope)) throw invalid(scope, 'Write it without what stands before //.')
  if (/^\*\.[a-zA-Z0-9.-]+$/.test(scope)) return
  // A registry, or a namespace in one, becomes an image by adding one.
  const image = isImage(scope) ? scope : `${scope}/x/y`
  const expected = isNameOnly(image) ? `${image}:latest` : image
  if (fullName(image, scope) === expected) return
  throw invalid(scope, `Write it in full, as in docker.io/library/etcd.`)
}

/** Whether there is a tag or a digest: a colon may also belong to a port. */
function isImage(scope: string): boolean {
  return scope.includes('/') && !isNameOnly(scope)
}

function fullName(image: string, scope: string): string {
  try {
    return formatReference(parseReference(image))
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code !== 'reference') throw error
    throw invalid(scope, 'Write REGISTRY[:PORT][/NAMESPACE…][:TAG], *.DOMAIN, or default.')
  }
}

function invalid(scope: string, hint: string): ForerunError {
  return new ForerunError('usage', `'${shownWords(scope)}' is no scope of policy.json`, { hint })
}
