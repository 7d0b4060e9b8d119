import * as v from 'valibot'
import { absent, type Descriptor, entrySchema, labelsSchema, platformSchema } from './descriptor.ts'
import { issueText, malformed } from './json.ts'

/** An entry of an index: a descriptor, or what can be read of one that breaks the specification. */
export type IndexEntry = Descriptor | FaultyEntry

/** Refused only when it is chosen: for another platform, or another program, it may be right. */
export interface FaultyEntry extends Pick<Descriptor, 'mediaType' | 'platform' | 'annotations' | 'artifactType'> {
  /** The first thing wrong with it: `manifests[2].digest: not a sha256 or sha512 digest`. */
  readonly fault: string
  readonly digest?: undefined
  readonly size?: undefined
}

/** The entries of an index in an untrusted document: OCI image specification, "Image Index", `manifests`. */
export const indexEntriesSchema = v.pipe(
  v.array(v.unknown()),
  v.transform((entries) => entries.map(readEntry)),
)

export function isSound(entry: IndexEntry): entry is Descriptor {
  return !('fault' in entry)
}

/** @throws ForerunError `manifest` for an entry that breaks the specification. */
export function soundEntry(entry: IndexEntry): Descriptor {
  if (isSound(entry)) return entry
  throw malformed(`the image index is malformed: ${entry.fault}`)
}

function readEntry(entry: unknown, index: number): IndexEntry {
  const read = v.safeParse(entrySchema, entry, { abortEarly: true })
  if (read.success) return read.output
  const { mediaType = '', platform, annotations, artifactType } = v.parse(remainsSchema, entry)
  return {
    fault: issueText(read.issues[0], `manifests[${index}]`),
    mediaType,
    ...(platform !== undefined && { platform }),
    ...(annotations !== undefined && { annotations }),
    ...(artifactType !== undefined && { artifactType }),
  }
}

/** A platform that cannot be read is no reason to take the entry where no other fits. */
const unreadablePlatform = { os: '', architecture: '' }

const remainsSchema = v.fallback(
  v.object({
    mediaType: v.fallback(absent(v.string()), undefined),
    platform: v.fallback(absent(platformSchema), unreadablePlatform),
    annotations: v.fallback(absent(labelsSchema), undefined),
    artifactType: v.fallback(absent(v.string()), undefined),
  }),
  { mediaType: undefined, platform: unreadablePlatform, annotations: undefined, artifactType: undefined },
)
