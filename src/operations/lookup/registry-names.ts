import { ForerunError } from '../../errors.ts'
import type { ImageConfiguration } from '../../image/configuration.ts'
import { formatPlatform, hostPlatform } from '../../image/platform.ts'
import { parseReference } from '../../image/reference.ts'
import { openImage } from '../../store/image.ts'
import type { ImageRecord } from '../../store/image-index.ts'
import type { SourceOptions } from '../context.ts'

/** A name of a stored image, and why no registry can have something newer under it, if so. */
export interface RegistryName {
  readonly name: string
  readonly left?: string
}

/** The names of a stored image, as far as something newer may be found under them. */
export function registryNames({ names, origins }: ImageRecord): RegistryName[] {
  return names.map((name) => {
    if (parseReference(name).digest !== undefined) return { name, left: 'its digest names this image for ever' }
    // Stores of 0.1 do not tell where images are from; then that was a registry.
    if (origins.length > 0 && !origins.includes(name)) return { name, left: 'it was not pulled under this name' }
    return { name }
  })
}

/** The option to ask for the platform of a stored image; none for this host's, of which the best variant is taken. */
export function samePlatform(configuration: ImageConfiguration): Pick<SourceOptions, 'platform'> {
  const { os, architecture } = configuration
  const isOfHost = architecture === '' || os === '' || architecture === hostPlatform().architecture
  return isOfHost ? {} : { platform: formatPlatform(configuration) }
}

/** As `samePlatform`; none for an image whose configuration is damaged, which pulling mends. */
export function recordPlatform(record: ImageRecord, store: string): Pick<SourceOptions, 'platform'> {
  try {
    return samePlatform(openImage(store, record).configuration)
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'store') return {}
    throw error
  }
}
