import type { Settings } from '../config/settings.ts'
import { ForerunError } from '../errors.ts'
import type { ImageLocation } from '../image/location.ts'
import type { Reference } from '../image/reference.ts'
import type { SourceOptions } from '../operations/context.ts'
import type { RegistryOptions } from '../source/registry/transport/registry.ts'
import type { ImageSource } from '../source/source.ts'
import type { ImageTarget } from '../source/target.ts'
import { passwordPrompt } from './prompt.ts'
import { version } from './version.ts'

interface Surroundings {
  readonly settings: Settings
  readonly signal: AbortSignal
}

/** Where an image may be: several places only for a short name, which registries.conf explains. */
export async function candidatePlaces(location: ImageLocation): Promise<readonly ImageLocation[]> {
  if (location.transport !== 'docker' || location.shortName === undefined) return [location]
  const { readRegistriesConf } = await import('../source/registry/config/registries-conf.ts')
  const { shortNameCandidates } = await import('../source/registry/config/short-name.ts')
  return shortNameCandidates(readRegistriesConf(), location).candidates
}

/** The source for a place. Each is loaded only when it is wanted. */
export async function openSource(
  location: ImageLocation,
  options: SourceOptions,
  surroundings: Surroundings,
): Promise<ImageSource> {
  switch (location.transport) {
    case 'docker': {
      const { registrySource } = await import('../source/registry/registry-source.ts')
      return registrySource(location.reference, await registryOptions(location.reference, options, surroundings))
    }
    case 'oci': {
      const { ociLayoutSource } = await import('../source/oci-layout/layout-source.ts')
      return ociLayoutSource(location)
    }
    case 'oci-archive': {
      const { ociArchiveSource } = await import('../source/oci-archive/archive-source.ts')
      return ociArchiveSource(location)
    }
    case 'docker-archive': {
      const { dockerArchiveSource } = await import('../source/docker-archive/docker-archive-source.ts')
      return dockerArchiveSource(location)
    }
    case 'docker-daemon': {
      const { dockerDaemonSource } = await import('../source/docker-daemon/docker-daemon-source.ts')
      return dockerDaemonSource(location)
    }
    case 'containers-storage': {
      const { containersStorageSource } = await import('../source/containers-storage/containers-storage-source.ts')
      return containersStorageSource(location)
    }
    case 'dir': {
      const { dirSource } = await import('../source/dir/dir-source.ts')
      return dirSource(location)
    }
  }
}

/** The target for a place. Each is loaded only when it is wanted. @throws ForerunError `usage` for a place that is only read. */
export async function openTarget(
  location: ImageLocation,
  options: SourceOptions,
  surroundings: Surroundings,
): Promise<ImageTarget> {
  switch (location.transport) {
    case 'docker': {
      const { registryTarget } = await import('../source/registry/registry-target.ts')
      return registryTarget(location.reference, await registryOptions(location.reference, options, surroundings))
    }
    case 'oci': {
      const { layoutTarget } = await import('../source/oci-layout/layout-target.ts')
      return layoutTarget(location.path, { image: location.image })
    }
    case 'oci-archive': {
      const { archiveTarget } = await import('../source/oci-archive/archive-target.ts')
      return archiveTarget(location.path, { image: location.image })
    }
    default:
      throw new ForerunError(
        'usage',
        `forerun pushes to registries, OCI layouts and their archives, not to ${location.transport}:`,
        {
          hint: 'Push to oci:DIR, and let skopeo copy it from there to any other place.',
        },
      )
  }
}

async function registryOptions(
  { domain: registry }: Reference,
  { tlsVerify, certDir, authfile, creds }: SourceOptions,
  { settings, signal }: Surroundings,
): Promise<RegistryOptions> {
  const { credentialSource } = await import('../source/registry/auth/credentials.ts')
  const { readRegistriesConf } = await import('../source/registry/config/registries-conf.ts')
  const registries = readRegistriesConf()
  const askPassword = passwordPrompt(signal)
  const credentials = credentialSource({ authfile, creds, registry, askPassword })
  return { ...settings.registry, registries, tlsVerify, certDir, userAgent: `forerun/${version}`, credentials }
}
