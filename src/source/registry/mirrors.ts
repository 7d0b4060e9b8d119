import { ForerunError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { type Reference, repositoryName } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import { checkAllowed, type Endpoint, endpointsFor } from './config/endpoints.ts'
import { readRegistriesConf } from './config/registries-conf.ts'
import { checkInterrupted } from './transport/answer.ts'
import { openEndpoint, type Registry, type RegistryOptions } from './transport/registry.ts'

/** The places that have an image, asked in turn: a mirror that fails is left for good, and told of by a notice. */
export interface Mirrors extends AsyncDisposable {
  /** What the first place answers that can. Those before it are not asked for anything else. */
  ask<Result>(context: TransferContext, question: (registry: Registry) => Promise<Result>): Promise<Result>
  /**
   * Bytes of a blob from the first place that has them; when it fails in the middle, the next one goes on from the same byte.
   */
  stream(
    digest: Digest,
    reading: { context: TransferContext; from: number; read: Reading },
  ): AsyncGenerator<Buffer, void, undefined>
  /**
   * Leaves the mirrors of which the bytes of a blob came, which were wrong.
   *
   * @returns whether there were any, so that another place may have the right ones.
   */
  distrust(digest: Digest, context: TransferContext): boolean
}

export type Reading = (registry: Registry, offset: number) => AsyncIterable<Buffer>

/**
 * Finds out where to get an image from (`endpointsFor`). Nothing is connected yet.
 *
 * The last place is the registry itself: the error of `ask` and `stream` is what went wrong there, with what went wrong before.
 *
 * @throws ForerunError `settings` for registries.conf.
 */
export function openMirrors(reference: Reference, options: RegistryOptions): Mirrors {
  const endpoints = endpointsFor(options.registries ?? readRegistriesConf(options), reference)
  const places = endpoints.map((endpoint): Place => ({ endpoint, registry: undefined, failure: undefined }))
  const givers = new Map<Digest, Set<Place>>()
  return {
    async ask(context, question) {
      for (;;) {
        const place = currentPlace(places)
        try {
          return await question(openPlace(place, options))
        } catch (error) {
          leave(place, { error, places, context })
        }
      }
    },
    async *stream(digest, { context, from, read }) {
      const ofBlob = givers.get(digest) ?? new Set()
      givers.set(digest, ofBlob)
      let offset = from
      for (;;) {
        const place = currentPlace(places)
        try {
          for await (const chunk of read(openPlace(place, options), offset)) {
            offset += chunk.length
            ofBlob.add(place)
            yield chunk
          }
          return
        } catch (error) {
          leave(place, { error, places, context })
        }
      }
    },
    distrust(digest, context) {
      const liars = [...(givers.get(digest) ?? [])].filter(({ endpoint }) => endpoint.isMirror)
      givers.delete(digest)
      const error = new ForerunError('digest', `it gave wrong bytes for ${digest}`)
      for (const place of liars) leave(place, { error, places, context })
      return liars.length > 0
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(places.map(({ registry }) => registry?.dispatcher.destroy()))
    },
  }
}

interface Place {
  readonly endpoint: Endpoint
  registry: Registry | undefined
  /** Why it is asked no more. */
  failure: ForerunError | undefined
}

function currentPlace(places: readonly Place[]): Place {
  const place = places.find(({ failure }) => failure === undefined) ?? places.at(-1)
  if (place === undefined) throw new Error('an image without a place')
  return place
}

function openPlace(place: Place, options: RegistryOptions): Registry {
  checkAllowed(place.endpoint)
  place.registry ??= openEndpoint(place.endpoint, options)
  return place.registry
}

/** @throws the error, where there is no further place, or another place would not mend it. */
function leave(
  place: Place,
  { error, places, context }: { error: unknown; places: readonly Place[]; context: TransferContext },
): void {
  checkInterrupted(context.signal)
  if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
  if (!place.endpoint.isMirror) throw withMirrorFailures(error, places)
  // Another request, sent at the same time, may have told of it already.
  if (place.failure !== undefined) return
  place.failure = error
  const next = currentPlace(places)
  const message = `the mirror ${nameOf(place)} is left for ${nameOf(next)}: ${error.message}`
  context.emit({ type: 'notice', message })
}

function withMirrorFailures(error: ForerunError, places: readonly Place[]): ForerunError {
  const failed = places.filter((place) => place.failure !== undefined)
  if (failed.length === 0) return error
  const failures = failed.map((place) => `${nameOf(place)}: ${place.failure?.message}`).join('; ')
  return new ForerunError(error.code, `${error.message} (its mirrors failed, too: ${failures})`, {
    ...(error.hint !== undefined && { hint: error.hint }),
    cause: error,
  })
}

function nameOf({ endpoint }: Place): string {
  return repositoryName(endpoint.reference)
}
