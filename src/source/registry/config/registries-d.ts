import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as v from 'valibot'
import { type Document, isNode, LineCounter, parseDocument } from 'yaml'
import { ForerunError } from '../../../errors.ts'
import { ownEnvironment } from '../../../host/own-environment.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import { absent, dictionary } from '../../../image/descriptor.ts'
import { type Reference, repositoryName } from '../../../image/reference.ts'
import type { ContainersPlace } from './containers-folders.ts'
import { dropInFiles } from './drop-in-files.ts'

/** Where the signatures of an image are, as this host is set up. */
export interface SignaturePlaces {
  /** Base of the signature storage beside the registry: `file:`, `http:` or `https:`. */
  readonly lookaside: URL
  /** Whether Sigstore's signatures are looked for in the registry. */
  readonly attachments: boolean
  /** What to write where, so that they are. */
  readonly enabling: string
}

/**
 * Reads containers-registries.d(5): the `*.yaml` of `registries.d` in `/usr/share/containers`, `/etc/containers` and the user's folder,
 * of which together no two may have the same section. As containers/image has it, each setting comes from the most specific section
 * that has it: the image, its repository, the namespaces above, the registry, `*.DOMAIN`, `default-docker`. Members that are for writing
 * signatures, and unknown ones, are left alone.
 *
 * @throws ForerunError `settings` with file and line.
 */
export function signaturePlaces(reference: Reference, place: ContainersPlace = {}): SignaturePlaces {
  const sections = readSections(place)
  const matching = [...scopesOf(reference), defaultScope].flatMap((scope) => sections.get(scope) ?? [])
  const lookaside = matching.find((section) => section.lookaside !== undefined)
  const attachments = matching.find((section) => section.attachments !== undefined)
  return {
    lookaside: lookaside === undefined ? builtInLookaside(place) : lookasideUrl(lookaside),
    attachments: attachments?.attachments === true,
    enabling: enablingWords(reference, attachments),
  }
}

interface Section {
  readonly file: string
  readonly scope: string
  readonly lookaside: string | undefined
  readonly attachments: boolean | undefined
}

/** No scope of an image: those have no space. */
const defaultScope = 'default docker'

/** A section that two files have is an error, whether or not they agree. */
function readSections(place: ContainersPlace): Map<string, Section> {
  const sections = new Map<string, Section>()
  const files = dropInFiles(place, { name: 'registries', suffix: '.d', extension: '.yaml' })
  for (const section of files.flatMap(readFile)) {
    const { file, scope } = section
    const other = sections.get(scope)
    if (other !== undefined) {
      const title = scope === defaultScope ? 'default-docker' : `docker: ${scope}`
      throw mistaken(`${file}: '${title}' is in ${other.file}, too`, file)
    }
    sections.set(scope, section)
  }
  return sections
}

/** valibot's own object takes a list as well. */
function mapping<Schema extends v.GenericSchema>(members: Schema) {
  return v.pipe(
    v.custom<v.InferInput<Schema>>((value) => typeof value === 'object' && !Array.isArray(value), 'not a mapping'),
    members,
  )
}

const sectionSchema = mapping(
  v.object({
    lookaside: absent(v.string('not a text')),
    sigstore: absent(v.string('not a text')),
    'use-sigstore-attachments': absent(v.boolean('neither true nor false')),
  }),
)

const fileSchema = absent(
  mapping(
    v.object({
      'default-docker': absent(sectionSchema),
      docker: absent(dictionary(absent(sectionSchema))),
    }),
  ),
)

function readFile(file: string): Section[] {
  const lines = new LineCounter()
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false })
  const [fault] = document.errors
  if (fault !== undefined) {
    throw mistaken(`${file}:${lines.linePos(fault.pos[0]).line}: ${fault.message.split('\n', 1)[0]}`, file)
  }
  const result = v.safeParse(fileSchema, document.toJS(), { abortEarly: true })
  if (!result.success) throw mistaken(`${file}:${placeOf(result.issues[0], document, lines)}`, file)
  const { docker = {}, 'default-docker': fallback } = result.output ?? {}
  const scoped = Object.entries(docker).map(([scope, section]) => sectionOf(file, scope, section))
  return fallback === undefined ? scoped : [...scoped, sectionOf(file, defaultScope, fallback)]
}

function readText(file: string): string {
  requireRootOnly(file, 'settings')
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw mistaken(`cannot read ${file}: ${(cause as Error).message}`, file, cause)
  }
}

/** An empty text is none, as in the containers tools. */
function sectionOf(file: string, scope: string, section: v.InferOutput<typeof sectionSchema> = {}): Section {
  const lookaside = section.lookaside || section.sigstore || undefined
  return { file, scope, lookaside, attachments: section['use-sigstore-attachments'] }
}

function placeOf(issue: v.BaseIssue<unknown>, document: Document, lines: LineCounter): string {
  const path = (issue.path ?? []).map(({ key }) => key)
  const node: unknown = path.length === 0 ? document.contents : document.getIn(path, true)
  const start = isNode(node) ? node.range?.[0] : undefined
  const line = start === undefined ? 1 : lines.linePos(start).line
  return `${line}: ${path.length === 0 ? issue.message : `${path.join(': ')}: ${issue.message}`}`
}

function mistaken(message: string, file: string, cause?: unknown): ForerunError {
  const hint = `Mend ${file}; containers-registries.d(5) says what it may hold.`
  return new ForerunError('settings', message, { hint, cause })
}

/** From the most specific on. With a tag and a digest the digest decides. */
function scopesOf(reference: Reference): string[] {
  const repository = repositoryName(reference)
  const { domain, tag, digest } = reference
  const scopes = [digest === undefined ? `${repository}:${tag ?? 'latest'}` : `${repository}@${digest}`, repository]
  for (let name = repository; name !== domain; ) {
    name = name.slice(0, name.lastIndexOf('/'))
    scopes.push(name)
  }
  const labels = domain.replace(/:\d+$/, '').split('.')
  const wildcards = labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)
  return [...scopes, ...wildcards]
}

/** Where the containers tools put the signatures that they make, unless told otherwise. */
function builtInLookaside({
  root = '/',
  environment = ownEnvironment(),
  uid = process.getuid?.() ?? 0,
}: ContainersPlace): URL {
  const { HOME: home = '/' } = environment
  return pathToFileURL(
    uid === 0 ? join(root, 'var/lib/containers/sigstore') : join(home, '.local/share/containers/sigstore'),
  )
}

function lookasideUrl({ lookaside = '', file }: Section): URL {
  const url = URL.canParse(lookaside) ? new URL(lookaside) : undefined
  const isLocal = url?.protocol === 'file:' && url.host === ''
  if (url !== undefined && (isLocal || url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw mistaken(`${file}: lookaside is no address that begins with file:///, http:// or https://`, file)
}

function enablingWords({ domain }: Reference, section: Section | undefined): string {
  const file = section?.file ?? `/etc/containers/registries.d/${domain.replace(/[^\w.-]/g, '-')}.yaml`
  const scope = section?.scope ?? domain
  const place = scope === defaultScope ? 'default-docker' : `docker: ${scope}`
  return `write 'use-sigstore-attachments: true' below '${place}' in ${file}`
}
