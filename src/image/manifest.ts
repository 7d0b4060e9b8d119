import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { absent, type Descriptor, descriptorSchema, labelsSchema } from './descriptor.ts'
import { type IndexEntry, indexEntriesSchema } from './index-entry.ts'
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
  readonly manifests: readonly IndexEntry[]
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
  const isIndex = isIndexType(claimed) || (!isManifestType(claimed) && hasMember(envelope.manifests))
  if (envelope.mediaType !== undefined && !isManifestType(claimed) && !isIndexType(claimed)) throw artifact(claimed)
  checkUnambiguous(envelope, isIndex ? ['manifests'] : ['config', 'layers'])
  return isIndex ? parseIndex(bytes) : parseImage(bytes)
}

const envelopeSchema = v.looseObject({ schemaVersion: v.optional(v.unknown()), mediaType: absent(v.string()) })

/** A member that is null counts as absent, as for Go. */
function hasMember(value: unknown): boolean {
  return value !== undefined && value !== null
}

/**
 * One digest must not be two images, depending on who reads it (CVE-2021-41190). Readers in Go take `Layers` for `layers`.
 *
 * @throws ForerunError `manifest` for a document with members of another format than its own.
 */
function checkUnambiguous(document: Readonly<Record<string, unknown>>, own: readonly string[]): void {
  const foreign = Object.keys(document).find((name) => {
    const isOfFormat = formatMembers.has(name.toUpperCase().toLowerCase())
    return isOfFormat && !own.includes(name) && hasMember(document[name])
  })
  if (foreign === undefined) return
  const kind = own.includes('manifests') ? 'an index' : 'an image'
  throw malformed(`the manifest is ambiguous: ${kind} has no member '${foreign.replace(/\p{Cc}/gu, '?')}'`)
}

/** What schema 1, schema 2, OCI and their indexes are made of, in lower case. */
const formatMembers = new Set(['config', 'fslayers', 'history', 'layers', 'manifests'])

function schema1(): ForerunError {
  return new ForerunError(
    'not-an-image',
    "the image has a manifest of Docker's schema 1, which has no verified layers",
    {
      hint: 'Push the image again with a tool made after 2016; it will write schema 2 or OCI.',
    },
  )
}

const annotationsSchema = absent(labelsSchema)

const indexSchema = v.object({
  mediaType: absent(v.string()),
  manifests: v.pipe(
    v.nullable(indexEntriesSchema),
    v.transform((entries) => entries ?? []),
  ),
})

function parseIndex(bytes: Uint8Array): ParsedManifest {
  const { mediaType, manifests } = parseJson(bytes, indexSchema, { document: 'the image index' })
  return {
    kind: 'index',
    index: {
      mediaType: mediaType ?? 'application/vnd.oci.image.index.v1+json',
      manifests,
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
