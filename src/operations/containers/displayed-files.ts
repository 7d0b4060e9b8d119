import { join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import type { HostPaths } from '../../host/paths.ts'
import { displayPath } from '../../tree/entry.ts'
import type { PlannedFile } from './plan-files.ts'

/** A file that an installation would make. */
export interface DisplayedFile {
  readonly path: string
  /** Its text, or a remark in brackets where it has none to show. */
  readonly content: string
  readonly isRemark?: true
}

/** What an installation would put on the host, for `install --display`. @param files as `planFiles` gives them. */
export function displayedFiles(
  bundle: Bundle,
  files: readonly PlannedFile[],
  { name, paths }: { name: string; paths: HostPaths },
): DisplayedFile[] {
  const { service } = bundle
  const configuration = service && {
    path: join(paths.containers, `${name}.0`, 'config.json'),
    content: service.configurationText,
  }
  const planned = new Set(files.map(({ path }) => path))
  const present = bundle.hostFiles
    .filter((file) => file.kind !== 'directory' && !planned.has(displayPath(file.path)))
    .map((file) => ({ path: displayPath(file.path), ...remark('it exists already and would be left alone') }))
  const sources = new Map(
    bundle.hostFiles.map((file) => [displayPath(file.path), file.kind === 'file' ? displayPath(file.source) : '']),
  )
  return [
    ...(configuration === undefined ? [] : [configuration]),
    ...files.flatMap((file) => displayed(file, sources)),
    ...present,
  ]
}

function displayed(file: PlannedFile, sources: ReadonlyMap<string, string>): DisplayedFile[] {
  const { path } = file
  if (file.kind === 'directory' || file.role === 'enablement') return []
  if (file.kind === 'symlink') return [{ path, ...remark(`symbolic link to ${file.target}`) }]
  if ('bytes' in file.content) return [{ path, content: Buffer.from(file.content.bytes).toString() }]
  return [{ path, ...remark(`copy of ${sources.get(path)} of the image`) }]
}

function remark(text: string): { content: string; isRemark: true } {
  return { content: `[${text}]`, isRemark: true }
}
