import { dirname } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import type { HostFile } from '../../bundle/host-files.ts'
import { ForerunError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { dropInPath, freeTmpfilesPath, type HostPaths, unitFilePath, unitPath } from '../../host/paths.ts'
import type { PlacedFile, PlacedRole } from '../../host/placed-file.ts'
import { isDependencyFolder, type UnitLink } from '../../systemd/enablement.ts'
import type { FileContent } from '../../transaction/change.ts'
import { digestOfContent } from '../../transaction/files.ts'
import { displayPath } from '../../tree/entry.ts'
import { resolvePath } from '../../tree/resolve.ts'
import type { HostView } from './host-view.ts'
import type { InstallableImage } from './installable-image.ts'

/** What is to be placed; a regular file with where its content comes from. */
export type PlannedFile =
  | Exclude<PlacedFile, { kind: 'file' }>
  | (Extract<PlacedFile, { kind: 'file' }> & { readonly content: FileContent })

interface FileTarget {
  readonly name: string
  readonly paths: HostPaths
  readonly view: HostView
  readonly emit: Emit
}

/**
 * Everything that an image places on the host, directories before what is in them. What is there already stays as it is:
 * a folder is not planned, a host file is told of. What another container placed and is just the same is planned, so that
 * it stays until the last of them goes.
 *
 * @throws ForerunError `host-file` where something that is no folder is in the way of one.
 */
export function planFiles(bundle: Bundle, image: InstallableImage, target: FileTarget): PlannedFile[] {
  const hostFiles = bundle.hostFiles.map((file) => plannedHostFile(file, image))
  return withFolders([...hostFiles, ...serviceFiles(bundle, target)], target).filter((file) => isWanted(file, target))
}

/** Links that enable a unit. One that a folder has already, whoever made it, does what is wanted. */
export function planLinks(links: readonly UnitLink[], target: FileTarget): PlannedFile[] {
  const missing = links.filter(({ path, target: wanted }) => {
    return isDependencyFolder(dirname(path))
      ? target.view.kind(path) === undefined
      : target.view.target(path) !== wanted
  })
  const files = missing.map(
    ({ path, target: to }): PlannedFile => ({ role: 'enablement', path, kind: 'symlink', target: to, uid: 0, gid: 0 }),
  )
  return withFolders(files, target)
}

function serviceFiles({ service }: Bundle, { name, paths, view }: FileTarget): PlannedFile[] {
  if (service === undefined) return []
  const { unit, unitMode, dropIn, tmpfiles, tmpfilesMode, mountUnit } = service
  return [
    text('drop-in', dropInPath(paths, name), dropIn),
    ...(tmpfiles === undefined
      ? []
      : [text('tmpfiles', freeTmpfilesPath(paths, name, view.kind), tmpfiles, tmpfilesMode)]),
    text('unit', unitPath(paths, name), unit, unitMode),
    ...(mountUnit === undefined ? [] : [text('mount', unitFilePath(paths, mountUnit.name), mountUnit.text)]),
  ]
}

function text(role: PlacedRole, path: string, content: string, mode = 0o644): PlannedFile {
  return regularFile({ role, path, mode, uid: 0, gid: 0 }, { bytes: Buffer.from(content) })
}

function regularFile(
  file: Pick<PlacedFile, 'role' | 'path' | 'uid' | 'gid'> & { readonly mode: number },
  content: FileContent,
): PlannedFile {
  return { ...file, kind: 'file', digest: digestOfContent(content), content }
}

function plannedHostFile(file: HostFile, image: InstallableImage): PlannedFile {
  const path = displayPath(file.path)
  const { uid, gid } = file
  if (file.kind === 'directory') return { role: 'host', path, kind: 'directory', mode: file.mode, uid, gid }
  if (file.kind === 'symlink')
    return { role: 'host', path, kind: 'symlink', target: displayPath(file.target), uid, gid }
  const content = file.rendered === undefined ? { copyOf: sourceOf(file.source, image) } : { bytes: file.rendered }
  return regularFile({ role: 'host', path, mode: file.mode, uid, gid }, content)
}

function sourceOf(source: string, image: InstallableImage): string | Buffer {
  const node = resolvePath(image.tree, source)
  if (node?.kind !== 'file') throw new Error(`${source} was planned and is no file`)
  return image.pathOf(node)
}

/** Puts the directories that are missing above a file before it. */
function withFolders(files: readonly PlannedFile[], { view }: FileTarget): PlannedFile[] {
  const planned = new Map<string, PlannedFile>(files.map((file) => [file.path, file]))
  const inOrder = new Map<string, PlannedFile>()
  for (const file of files) {
    refuseBlocked(file.path, view)
    for (const path of parentsOf(file.path)) {
      if (inOrder.has(path) || (view.kind(path) !== undefined && !view.isOthers(path))) continue
      const folder = { role: file.role, path, kind: 'directory', mode: 0o755, uid: 0, gid: 0 } as const
      inOrder.set(path, planned.get(path) ?? folder)
    }
    if (!inOrder.has(file.path)) inOrder.set(file.path, file)
  }
  return [...inOrder.values()]
}

/** A host file whose folder is something else on this host: what is there is not ours to replace. */
function refuseBlocked(path: string, view: HostView): void {
  const blocking = parentsOf(path).find((parent) => view.kind(parent) !== undefined && !view.isFolder(parent))
  if (blocking === undefined) return
  throw new ForerunError('host-file', `the image's file '${path}' cannot be made: '${blocking}' is not a folder`, {
    hint: `Move '${blocking}' away, or have the image put its file elsewhere.`,
  })
}

function isWanted(file: PlannedFile, { view, emit }: FileTarget): boolean {
  if (file.role !== 'host' || view.kind(file.path) === undefined) return true
  const isShared = view.isOthers(file.path) && isSame(file, view)
  if (!isShared && file.kind !== 'directory') {
    emit({ type: 'notice', message: `File ${file.path} already exists` })
  }
  return isShared
}

function isSame(file: PlannedFile, view: HostView): boolean {
  if (file.kind === 'directory') return view.kind(file.path) === 'directory'
  if (file.kind === 'symlink') return view.target(file.path) === file.target
  return view.kind(file.path) === 'file' && view.checksum(file.path) === file.digest
}

/** Without the root, the uppermost first. */
export function parentsOf(path: string): string[] {
  const above: string[] = []
  for (let parent = dirname(path); parent !== '/' && parent !== '.'; parent = dirname(parent)) above.unshift(parent)
  return above
}
