import * as v from 'valibot'
import { type Digest, digestOf, isDigest } from './digest.ts'
import type { Platform } from './platform.ts'

/** OCI image specification, "OCI Content Descriptors". */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
  readonly artifactType?: string
  /** The blob itself, embedded; its size and digest are right. */
  readonly data?: Buffer
}

/** A digest in an untrusted document. */
export const digestSchema = v.custom<Digest>(isDigest, 'not a sha256 or sha512 digest')

/** An optional member that real documents also write as null; both are left out of the output. */
export function absent<Schema extends v.GenericSchema>(schema: Schema) {
  return v.optional(
    v.pipe(
      v.nullable(schema),
      v.transform((value) => value ?? undefined),
    ),
  )
}

/** An object of any keys. valibot's own record takes a list as well. */
export function dictionary<Schema extends v.GenericSchema>(values: Schema) {
  return v.pipe(
    v.custom<Record<string, unknown>>((input) => typeof input === 'object' && !Array.isArray(input), 'not an object'),
    v.record(v.string(), values),
  )
}

/** Strings by name: annotations, labels. A null among them is empty, as Go reads it. */
export const labelsSchema = dictionary(
  v.pipe(
    v.nullable(v.string()),
    v.transform((value) => value ?? ''),
  ),
)

/** Who writes an artifact into an index may say nothing of a platform, or half of it: that is none that anybody runs. */
export const platformSchema = v.pipe(
  v.object({
    os: absent(v.string()),
    architecture: absent(v.string()),
    variant: absent(v.string()),
    'os.version': absent(v.string()),
    'os.features': absent(v.array(v.string())),
  }),
  v.transform(knownPlatform),
)

/** As `descriptorSchema`, for an entry of an index, which need not say of what type it is: the document itself does. */
export const entrySchema = v.pipe(
  v.object({
    mediaType: absent(v.string()),
    digest: digestSchema,
    size: v.pipe(v.number(), v.safeInteger('not a whole number'), v.minValue(0, 'negative')),
    platform: absent(platformSchema),
    annotations: absent(labelsSchema),
    artifactType: absent(v.string()),
    data: absent(v.pipe(v.string(), v.base64('not base64'))),
  }),
  v.transform(({ mediaType = '', digest, size, platform, annotations, artifactType, data }): Descriptor => {
    return {
      mediaType,
      digest,
      size,
      ...(platform !== undefined && { platform }),
      ...(annotations !== undefined && { annotations }),
      ...(artifactType !== undefined && { artifactType }),
      ...(data !== undefined && { data: Buffer.from(data, 'base64') }),
    }
  }),
  v.check(isEmbeddedWhole, 'data is not what size and digest say'),
)

/** A descriptor in an untrusted document. Members that forerun does not know are left out. */
export const descriptorSchema = v.pipe(
  entrySchema,
  v.check(({ mediaType }) => mediaType !== '', 'has no mediaType'),
)

function isEmbeddedWhole({ data, digest, size }: Descriptor): boolean {
  return data === undefined || (data.length === size && digestOf(data, digest) === digest)
}

function knownPlatform(platform: {
  os?: string | undefined
  architecture?: string | undefined
  variant?: string | undefined
  'os.version'?: string | undefined
  'os.features'?: string[] | undefined
}): Platform {
  const { os = '', architecture = '', variant } = platform
  const version = platform['os.version']
  const features = platform['os.features']
  return {
    os,
    architecture,
    ...(variant !== undefined && variant !== '' && { variant }),
    ...(version !== undefined && { 'os.version': version }),
    ...(features !== undefined && { 'os.features': features }),
  }
}
