import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Document, isMap, parseDocument } from 'yaml'
import { ForerunError } from '../../../errors.ts'
import { requireRootOnly } from '../../../host/root-only.ts'
import { type ContainersPlace, containersFolders } from './containers-folders.ts'
import { dropInFiles } from './drop-in-files.ts'

/** What containers-registries.d(5) is to say of a scope; undefined: as it is. */
export interface StorageSetting {
  /** `file:///…`, `http://…` or `https://…` */
  readonly lookaside: string | undefined
  /** Whether Sigstore's signatures are looked for in the registry. */
  readonly attachments: boolean | undefined
}

/** A file, and the text that it is to have. */
export interface PlannedFile {
  readonly path: string
  readonly text: string
}

/**
 * What to write so that signatures of a scope are looked for somewhere: into the file that has a section of that scope,
 * else into one named after it. Comments and all other sections are kept. A file of the vendor is not changed: one of the
 * same name in `/etc`, which goes before it, gets what it says.
 *
 * @returns undefined when it is as wanted.
 * @throws ForerunError `usage` for an address that is none, `settings` for a file that cannot be read.
 */
export function plannedStorage(
  scope: string,
  setting: StorageSetting,
  place: ContainersPlace = {},
): PlannedFile | undefined {
  if (setting.lookaside !== undefined) checkAddress(setting.lookaside)
  const files = dropInFiles(place, { name: 'registries', suffix: '.d', extension: '.yaml' }).map(readFile)
  const path = join(ownFolder(place), `${scope.replace(/[^\w.-]/g, '-')}.yaml`)
  const holder =
    files.find(({ document }) => document.hasIn(['docker', scope])) ?? files.find((file) => file.path === path)
  const { document, path: target } = holder ?? { document: parseDocument('') as Document, path }
  if (!change(document, scope, setting)) return undefined
  return { path: target.replace(/^\/usr\/share\//, '/etc/'), text: document.toString() }
}

/** The user's folder goes before the system's, as where it is read. */
function ownFolder(place: ContainersPlace): string {
  const folders = containersFolders(place).map((folder) => join(folder, 'registries.d'))
  const own = folders.slice(0, -2).find((folder) => existsSync(folder))
  return own ?? '/etc/containers/registries.d'
}

function checkAddress(address: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.protocol === 'file:' && url.host === '' && url.pathname !== '/') return
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return
  throw new ForerunError('usage', 'the address of the signatures begins with none of file:///, http:// and https://', {
    hint: 'Write for example --lookaside https://signatures.example.com/containers.',
  })
}

function readFile(path: string): { path: string; document: Document } {
  requireRootOnly(path, 'settings')
  const document = parseDocument(readFileSync(path, 'utf8'))
  const [fault] = document.errors
  if (fault === undefined && (document.contents === null || isMap(document.contents))) return { path, document }
  const reason = fault?.message.split('\n', 1)[0] ?? 'it is no mapping'
  throw new ForerunError('settings', `${path} cannot be understood: ${reason}`, {
    hint: 'See containers-registries.d(5), and correct the file.',
    cause: fault,
  })
}

function change(document: Document, scope: string, { lookaside, attachments }: StorageSetting): boolean {
  const wanted = { lookaside, 'use-sigstore-attachments': attachments }
  const place = ['docker', scope]
  const changes = Object.entries(wanted).filter(([name, value]) => {
    return value !== undefined && document.getIn([...place, name]) !== value
  })
  if (changes.length === 0) return false
  if (!isMap(document.contents)) document.contents = document.createNode({})
  for (const path of [['docker'], place]) {
    if (!isMap(document.getIn(path, true))) document.setIn(path, document.createNode({}))
  }
  for (const [name, value] of changes) document.setIn([...place, name], value)
  // The older name of the same, which would contradict.
  if (lookaside !== undefined) document.deleteIn([...place, 'sigstore'])
  return true
}
