import { ForerunError } from '../../errors.ts'
import { type Digest, isDigest } from '../../image/digest.ts'
import { formatReference, repositoryName } from '../../image/reference.ts'
import { checkDigest } from '../resolve-manifest.ts'
import type { TransferContext } from '../source.ts'
import { requestFromRepository } from './protocol/request.ts'
import { manifestTypes } from './registry-source.ts'
import { dropBody } from './transport/answer.ts'
import { AttemptFailure } from './transport/failure.ts'
import { nominalOrigin } from './transport/nominal-origin.ts'
import { refusal } from './transport/refusal.ts'
import type { Registry } from './transport/registry.ts'
import { withRetries } from './transport/retries.ts'
import { wholeBody } from './transport/whole-body.ts'

/**
 * Deletes what the name stands for, manifest or index, from the repository (distribution specification, "Deleting
 * Manifests"), and with it every other tag of it. Its layers are the registry's to collect.
 *
 * @throws ForerunError `image-not-found`; `unauthorized`; `registry`, also when it does not allow to delete.
 */
export async function deleteManifest(registry: Registry, context: TransferContext): Promise<Digest> {
  const digest = registry.reference.digest ?? (await digestOfTag(registry, context))
  const path = `manifests/${digest}`
  const answer = await withRetries(registry, urlOf(registry, path), {
    context,
    attempt: () =>
      requestFromRepository(registry, path, {
        ...{ method: 'DELETE', context, missing: notFound(registry) },
        ...{ scope: { actions: 'pull,push,delete' }, accepted: [200, 202, 204, ...forbidding] },
      }),
  })
  if (!forbidding.includes(answer.status)) {
    dropBody(answer)
    return digest
  }
  const reason = await refusal(answer, { registry, signal: context.signal })
  const { code, message } = reason instanceof AttemptFailure ? reason.failure : reason
  const { domain } = registry.reference
  throw new ForerunError(code, `${domain} does not delete ${formatReference(registry.reference)}: ${message}`, {
    hint:
      code === 'unauthorized'
        ? `Log in as a user who may delete there: forerun login ${domain}`
        : 'Registries may have to be set up to allow it (distribution: storage.delete.enabled). Ask those who run it.',
    cause: reason,
  })
}

/** "Unsupported" comes as 405 and, from some, as 400. */
const forbidding: readonly number[] = [400, 401, 403, 405]

async function digestOfTag(registry: Registry, context: TransferContext): Promise<Digest> {
  const path = `manifests/${registry.reference.tag ?? 'latest'}`
  return withRetries(registry, urlOf(registry, path), {
    context,
    attempt: async () => {
      const headers = { accept: manifestTypes }
      const answer = await requestFromRepository(registry, path, { headers, missing: notFound(registry), context })
      const { documentLimit: limit } = registry.settings
      const bytes = await wholeBody(answer, { limit, signal: context.signal, document: 'the manifest' })
      const claim = answer.header('docker-content-digest')
      return checkDigest(bytes, isDigest(claim) ? claim : undefined, 'the manifest')
    },
  })
}

function urlOf(registry: Registry, path: string): URL {
  return new URL(`/v2/${registry.reference.path}/${path}`, registry.origin ?? nominalOrigin(registry.reference))
}

function notFound({ reference }: Registry): ForerunError {
  const name = reference.digest ?? reference.tag ?? 'latest'
  return new ForerunError('image-not-found', `${repositoryName(reference)} has no ${name}, or does not exist`, {
    hint: 'Check the spelling; nothing has been deleted.',
  })
}
