import { join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import type { HostFile } from '../../bundle/host-files.ts'
import { dropInPath, type HostPaths, tmpfilesPath, unitFilePath, unitPath } from '../../host/paths.ts'
import { isPresent } from '../../transaction/files.ts'
import { displayPath } from '../../tree/entry.ts'

/** A file that an installation would make. */
export interface DisplayedFile {
  readonly path: string
  /** Its text, or a remark in brackets where it has none to show. */
  readonly content: string
}

/** What an installation would put on the host, for `install --display`. */
export function displayedFiles(bundle: Bundle, where: { name: string; paths: HostPaths }): DisplayedFile[] {
  const { name, paths } = where
  const { service } = bundle
  const files: DisplayedFile[] = []
  if (service !== undefined) {
    files.push({ path: join(paths.containers, `${name}.0`, 'config.json'), content: service.configurationText })
    files.push({ path: unitPath(paths, name), content: service.unit })
    files.push({ path: dropInPath(paths, name), content: service.dropIn })
    const { mountUnit } = service
    if (mountUnit !== undefined) files.push({ path: unitFilePath(paths, mountUnit.name), content: mountUnit.text })
    if (service.tmpfiles !== undefined) files.push({ path: tmpfilesPath(paths, name), content: service.tmpfiles })
  }
  return [...files, ...bundle.hostFiles.flatMap(displayed)]
}

function displayed(file: HostFile): DisplayedFile[] {
  const path = displayPath(file.path)
  if (file.kind === 'directory') return []
  if (isPresent(path)) return [{ path, content: '[it exists already and would be left alone]' }]
  if (file.kind === 'symlink') return [{ path, content: `[symbolic link to ${displayPath(file.target)}]` }]
  return [{ path, content: file.rendered?.toString() ?? `[copy of ${displayPath(file.source)} of the image]` }]
}
