import { ForerunError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { digester, finishDigest } from '../../image/digest.ts'
import type { TransferContext } from '../../source/source.ts'
import type { BlobContent } from '../../source/target.ts'
import type { LayerPlace, LayerPlaces } from './layer-locations.ts'

export interface LayerContent extends BlobContent {
  /** Whether it is `error` with which the last reading ended and a reading from another place may do better. */
  mayDoBetter(error: unknown): boolean
}

/**
 * The bytes of a layer as it was transferred, from the first place that gives them; one that fails in the middle is left for the next
 * one, from the same byte. The last bytes come only when size and digest are right.
 *
 * Reading throws ForerunError `digest` for wrong bytes, `image-not-found` when no place is left, `interrupted`.
 */
export function layerContent(descriptor: Descriptor, places: LayerPlaces, context: TransferContext): LayerContent {
  const { digest, size } = descriptor
  const { signal, emit } = context
  const candidates = places.placesOf(descriptor)
  const failures = new Map<LayerPlace, string>()
  let isTold = false
  let wrongBytes: ForerunError | undefined

  async function* open(): AsyncGenerator<Buffer, void, undefined> {
    if (!isTold) emit({ type: 'layer-started', digest, size, kept: 0, sending: true })
    isTold = true
    if (size === 0) return
    const hash = digester(digest)
    let first: LayerPlace | undefined
    let offset = 0
    for (const place of candidates.filter((candidate) => !failures.has(candidate))) {
      for await (const bytes of readFrom(place, offset)) {
        first ??= place
        offset += bytes.length
        hash.update(bytes)
        if (offset > size || (offset === size && finishDigest(hash, digest) !== digest)) {
          // Where several took part, those after the first one may still be right.
          wrongBytes = wrong(
            first,
            offset > size ? 'more bytes than it should have' : 'other bytes than its digest says',
          )
          throw wrongBytes
        }
        emit({ type: 'layer-progress', digest, received: offset })
        yield bytes
        if (offset === size) return
      }
    }
    throw unavailable(descriptor, failures)
  }

  /** Ends early, and notes why, when the place fails. */
  async function* readFrom(place: LayerPlace, offset: number): AsyncGenerator<Buffer, void, undefined> {
    let position = offset
    try {
      for await (const bytes of place.read(descriptor, context, offset)) {
        position += bytes.length
        yield bytes
      }
      if (position < size) failures.set(place, `ended at byte ${position} of ${size}`)
    } catch (error) {
      if (signal.aborted) throw new ForerunError('interrupted', 'interrupted', { cause: error })
      failures.set(place, reasonOf(error))
    }
  }

  function wrong(place: LayerPlace, what: string): ForerunError {
    failures.set(place, `gave ${what}`)
    return new ForerunError('digest', `layer ${digest} from ${place.name} has ${what}`, {
      hint: 'Pull the image anew, and push it then.',
    })
  }

  return {
    open,
    neighbours: places.repositoriesOf(digest),
    mayDoBetter: (error) => error === wrongBytes && candidates.some((place) => !failures.has(place)),
  }
}

/** @throws the error itself when it is none of the place's. */
function reasonOf(error: unknown): string {
  const isExpected = error instanceof ForerunError || (error instanceof Error && 'syscall' in error)
  if (!isExpected) throw error
  return error.message
}

function unavailable({ digest, size }: Descriptor, failures: ReadonlyMap<LayerPlace, string>): ForerunError {
  const tried = [...failures].map(([place, reason]) => `${place.name}: ${reason}`)
  const kept = [...failures.keys()].some(({ name }) => name === 'the store') ? [] : ['the store has not kept it']
  return new ForerunError(
    'image-not-found',
    `layer ${digest} (${size} bytes) is nowhere to be had as it was transferred: ${[...kept, ...tried].join('; ')}`,
    {
      hint: 'With keep-blobs=yes in the section [store] of forerun.conf, layers that are pulled from then on are kept for pushing.',
    },
  )
}
