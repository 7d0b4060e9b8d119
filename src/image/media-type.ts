/** The media types of OCI images and of Docker's schema 2, which forerun reads alike. */

export function isManifestType(mediaType: string): boolean {
  return (
    mediaType === 'application/vnd.oci.image.manifest.v1+json' ||
    mediaType === 'application/vnd.docker.distribution.manifest.v2+json'
  )
}

export function isIndexType(mediaType: string): boolean {
  return (
    mediaType === 'application/vnd.oci.image.index.v1+json' ||
    mediaType === 'application/vnd.docker.distribution.manifest.list.v2+json'
  )
}

/** Docker's schema 1, signed or not. Registries that know only this answer with it whatever is asked for. */
export function isSchema1Type(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(mediaType)
}

/**
 * Whether a manifest's `config` is an image's configuration. Old registries recorded it under types that say nothing;
 * such images are still about.
 */
export function isConfigurationType(mediaType: string): boolean {
  return (
    mediaType === 'application/vnd.oci.image.config.v1+json' ||
    mediaType === 'application/vnd.docker.container.image.v1+json' ||
    mediaType === 'application/octet-stream' ||
    mediaType === 'application/json'
  )
}

const layerTypes = [
  /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?$/,
  /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?$/,
]

/** Whether a layer is a tar archive, compressed by gzip or zstd or not at all. */
export function isLayerType(mediaType: string): boolean {
  return layerTypes.some((type) => type.test(mediaType))
}

const artifacts: readonly (readonly [type: RegExp, name: string])[] = [
  [/helm\.(?:config|chart)/, 'a Helm chart'],
  [/in-toto|dsse|slsa/, 'an attestation'],
  [/cosign|sigstore|simplesigning|notary/, 'a signature'],
  [/spdx|cyclonedx|syft/, 'a bill of materials'],
  [/wasm/, 'a WebAssembly module'],
  [/docker\.plugin/, 'a Docker plugin'],
  [/docker\.ai|ollama|cncf\.model/, 'a machine-learning model'],
  [/\+encrypted$/, 'an encrypted image'],
  [/buildkit\.cacheconfig/, 'a build cache'],
]

/** What a media type that is none of an image's belongs to, with its article: `a Helm chart`. */
export function artifactName(mediaType: string): string {
  const known = artifacts.find(([type]) => type.test(mediaType))
  return known === undefined ? `an artifact of type '${mediaType.replace(/\p{Cc}/gu, '?').slice(0, 100)}'` : known[1]
}
