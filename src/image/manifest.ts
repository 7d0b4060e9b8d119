import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { absent, type Descriptor, descriptorSchema, dictionary } from './descriptor.ts'
import { malformed, parseJson } from './json.ts'
import {
  artifactName,
  isConfigurationType,
  isIndexType,
  isLayerType,
  isManifestType,
  isSchema1Type,
} from './media-type.ts'

/** An OCI image manifest or a Docker schema 2 manifest; both have this shape. */
export interface ImageManifest {
  readonly mediaType: string
  readonly config: Descriptor
  /** Base first. */
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** An OCI image index or a Docker manifest list. */
export interface ImageIndex {
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export type ParsedManifest =
  | { readonly kind: 'manifest'; readonly manifest: ImageManifest }
  | { readonly kind: 'index'; readonly index: ImageIndex }

/**
 * Reads what a registry calls a manifest: OCI image specification, "Image Manifest" and "Image Index", and Docker's
 * schema 2. The document's own `mediaType` decides; `contentType` (the header of that name) stands in where it is absent.
 *
 * @throws ForerunError `manifest` when it breaks its specification; `not-an-image` when it is an artifact, or schema 1.
 */
export function parseManifest(bytes: Uint8Array, contentType?: string): ParsedManifest {
  const envelope = parseJson(bytes, envelopeSchema, { document: 'the manifest' })
  const claimed = envelope.mediaType ?? contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (envelope.schemaVersion === 1 || isSchema1Type(claimed)) throw schema1()
  if (envelope.schemaVersion !== 2) throw malformed('the manifest is malformed: schemaVersion: not 2')
  const hasManifests = envelope.manifests !== undefined
  if (hasManifests && (envelope.config !== undefined || envelope.layers !== undefined)) {
    // One digest must not be two images, depending on who reads it (CVE-2021-41190).
    throw malformed('the manifest is malformed: it is a manifest and an index at once')
  }
  if (envelope.mediaType !== undefined && !isManifestType(claimed) && !isIndexType(claimed)) throw artifact(claimed)
  if (isIndexType(claimed) || (!isManifestType(claimed) && hasManifests)) return parseIndex(bytes)
  return parseImage(bytes)
}

const envelopeSchema = v.object({
  schemaVersion: v.optional(v.unknown()),
  mediaType: absent(v.string()),
  manifests: v.optional(v.unknown()),
  config: v.optional(v.unknown()),
  layers: v.optional(v.unknown()),
})

function schema1(): ForerunError {
  return new ForerunError(
    'not-an-image',
    "the image has a manifest of Docker's schema 1, which has no verified layers",
    {
      hint: 'Push the image again with a tool made after 2016; it will write schema 2 or OCI.',
    },
  )
}

const annotationsSchema = absent(dictionary(v.string()))

const indexSchema = v.object({
  mediaType: absent(v.string()),
  manifests: v.array(descriptorSchema),
  annotations: annotationsSchema,
})

function parseIndex(bytes: Uint8Array): ParsedManifest {
  const { mediaType, manifests, annotations } = parseJson(bytes, indexSchema, { document: 'the image index' })
  return {
    kind: 'index',
    index: {
      mediaType: mediaType ?? 'application/vnd.oci.image.index.v1+json',
      manifests,
      annotations: annotations ?? {},
    },
  }
}

const imageSchema = v.object({
  mediaType: absent(v.string()),
  artifactType: absent(v.string()),
  config: descriptorSchema,
  // Go writes an empty list as null.
  layers: v.pipe(
    v.nullable(v.array(descriptorSchema)),
    v.transform((layers) => layers ?? []),
  ),
  annotations: annotationsSchema,
})

function parseImage(bytes: Uint8Array): ParsedManifest {
  const document = parseJson(bytes, imageSchema, { document: 'the manifest' })
  const { config, layers } = document
  if (!isConfigurationType(config.mediaType)) {
    const isEmpty = config.mediaType === 'application/vnd.oci.empty.v1+json'
    throw artifact((isEmpty ? document.artifactType : undefined) ?? config.mediaType)
  }
  // Signatures and attestations are stored under an image's configuration type, and known by their layers.
  const foreign = layers.find(({ mediaType }) => !isLayerType(mediaType))
  if (foreign !== undefined) throw artifact(foreign.mediaType)
  return {
    kind: 'manifest',
    manifest: {
      mediaType: document.mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers,
      annotations: document.annotations ?? {},
    },
  }
}

function artifact(mediaType: string): ForerunError {
  return new ForerunError('not-an-image', `this is not a container image but ${artifactName(mediaType)}`, {
    hint: 'Check the repository and the tag: other things than images are kept in registries too.',
  })
}
