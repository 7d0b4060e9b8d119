import { ForerunError } from '../../errors.ts'
import { type ImageLocation, parseLocation } from '../../image/location.ts'
import { openImage } from '../../store/image.ts'
import type { ImageRecord } from '../../store/image-index.ts'
import type { Context, SourceOptions } from '../context.ts'
import { type FoundImage, findImage } from './find-image.ts'
import { samePlatform } from './registry-names.ts'

/**
 * Finds an image again where it came from, by the digest of its manifest: nothing else that a name stands for now. It is
 * judged as any image that is pulled. Dispose of it to close the source.
 *
 * @throws ForerunError `store` that tells why no place has it; `interrupted`.
 */
export async function findSameImage(
  record: ImageRecord,
  options: SourceOptions,
  context: Context,
): Promise<FoundImage> {
  const reasons: string[] = []
  for (const location of placesOf(record)) {
    try {
      const found = await findImage(location, { ...platformOf(record, context), ...options }, context)
      if (found.image.digest === record.manifest) return found
      await found[Symbol.asyncDispose]()
      reasons.push(`'${found.image.reference}' is another image now`)
    } catch (error) {
      if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
      reasons.push(error.message)
    }
  }
  const why = reasons.length === 0 ? 'it is not known where it came from' : [...new Set(reasons)].join('; ')
  throw new ForerunError('store', `'${record.names[0] ?? record.id}' cannot be fetched again: ${why}`)
}

/** In a registry first by digest, then by name: what is signed may be the index that the name leads to. */
function placesOf({ manifest, origins, names }: ImageRecord): ImageLocation[] {
  return [...new Set([...origins, ...names])].flatMap((text): ImageLocation[] => {
    const location = parseLocation(text)
    if (location.transport !== 'docker') return [location]
    return [{ ...location, reference: { ...location.reference, digest: manifest } }, location]
  })
}

function platformOf(record: ImageRecord, { paths }: Context): Pick<SourceOptions, 'platform'> {
  try {
    return samePlatform(openImage(paths.store, record).configuration)
  } catch (error) {
    if (error instanceof ForerunError) return {}
    throw error
  }
}
