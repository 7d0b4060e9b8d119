import type { PlacedFile, PlacedRole } from '../../host/placed-file.ts'
import type { Change } from '../../transaction/change.ts'
import { placedChecksum } from '../placed-files.ts'
import type { HostView } from './host-view.ts'
import type { PlannedFile } from './plan-files.ts'

/** A deployment as far as it concerns what it placed. */
interface Placing<File extends PlacedFile> {
  /** `…/containers/NAME.0`, which units name. */
  readonly folder: string
  /** Directories before what is in them. */
  readonly files: readonly File[]
}

/** What takes the files of one deployment to those of the next one. */
export interface FileChanges {
  /** Makes or replaces what the next one places in these roles. */
  placed(...roles: PlacedRole[]): Change[]
  /** Removes what it does not place any more, in these roles. */
  removed(...roles: PlacedRole[]): Change[]
  /** Directories that it does not place any more, parents first. */
  readonly folders: readonly string[]
  /** Paths of modified files that stay as they are. */
  readonly kept: readonly string[]
  /** Paths of modified files that are replaced; their content is kept beside them. */
  readonly saved: readonly string[]
}

/**
 * Compares two lists of placed files, and both with the host. What somebody has modified since stays: a host file as it is, unit
 * and tmpfiles.d lines with the folder of the deployment changed, since they would else start the one before. Files of
 * forerun's own (drop-in and mount) are replaced, and what was in them is saved as `PATH.saved`.
 */
export function fileChanges(from: Placing<PlacedFile>, to: Placing<PlannedFile>, view: HostView): FileChanges {
  const before = new Map(from.files.map((file) => [file.path, file]))
  const after = new Map(to.files.map((file) => [file.path, file]))
  const leaving = from.files.filter(
    ({ path }) => !after.has(path) && view.kind(path) !== undefined && !view.isOthers(path),
  )
  const isModified = (file: PlacedFile): boolean =>
    file.kind !== 'directory' && hasContent(file) && view.checksum(file.path) !== placedChecksum(file)
  const modified = to.files.filter((file) => {
    const was = before.get(file.path)
    // Somebody may have made of it just what it is to be.
    return was !== undefined && view.kind(file.path) !== undefined && isModified(was) && isModified(file)
  })
  const stays = (file: PlacedFile): boolean => file.role === 'host' && isModified(file)
  const isWanted = enabledLinks(from.files, view)

  function place(file: PlannedFile): Change[] {
    const was = before.get(file.path)
    const there = view.kind(file.path)
    if (file.kind === 'directory') return there === undefined ? [placing(file)] : []
    if (file.role === 'enablement' && !isWanted(file, was)) return []
    if (there === undefined) return [placing(file)]
    if (was === undefined) return file.role === 'host' ? [] : [placing(file)]
    if (modified.includes(file)) return placeModified(file)
    if (isSame(was, file)) return []
    if (there !== file.kind) return [{ kind: 'remove-file', path: file.path }, placing(file)]
    return [replacing(file)]
  }

  function placeModified(file: PlannedFile): Change[] {
    const { path, role } = file
    if (role === 'host' || role === 'enablement' || file.kind !== 'file') return []
    if (role === 'unit' || role === 'tmpfiles') {
      const text = view.text(path)
      const bytes = Buffer.from(text.replaceAll(from.folder, to.folder))
      return text.includes(from.folder) ? [replacing({ ...file, content: { bytes } })] : []
    }
    const { mode, uid, gid } = file
    const saved = { path: savedPath(path), content: { copyOf: path }, mode, uid, gid }
    const kind = view.kind(saved.path) === undefined ? 'write-file' : 'replace-file'
    return [{ kind, ...saved }, replacing(file)]
  }

  const isSaved = ({ role }: PlacedFile): boolean => role === 'drop-in' || role === 'mount'
  return {
    placed: (...roles) => to.files.filter(({ role }) => roles.includes(role)).flatMap(place),
    removed: (...roles) =>
      leaving
        .filter((file) => roles.includes(file.role) && file.kind !== 'directory' && !stays(file))
        .map(({ path }) => ({ kind: 'remove-file', path })),
    folders: leaving.filter(({ kind }) => kind === 'directory').map(({ path }) => path),
    kept: [...modified.filter((file) => !isSaved(file)), ...leaving.filter(stays)].map(({ path }) => path),
    saved: modified.filter(isSaved).map(({ path }) => savedPath(path)),
  }
}

/** The change that makes a file that is not there. */
export function placing(file: PlannedFile): Change {
  const { path, uid, gid } = file
  if (file.kind === 'directory') return { kind: 'make-directory', path, mode: file.mode, uid, gid }
  if (file.kind === 'symlink') return { kind: 'make-symlink', path, target: file.target, uid, gid }
  return { kind: 'write-file', path, content: file.content, mode: file.mode, uid, gid }
}

function replacing(file: Exclude<PlannedFile, { kind: 'directory' }>): Change {
  const { path, uid, gid } = file
  if (file.kind === 'symlink') return { kind: 'replace-symlink', path, target: file.target, uid, gid }
  return { kind: 'replace-file', path, content: file.content, mode: file.mode, uid, gid }
}

function savedPath(path: string): string {
  return `${path}.saved`
}

/** Deployments of older versions do not tell what was in their unit. */
function hasContent(file: PlacedFile): boolean {
  return file.kind !== 'file' || file.digest !== ''
}

function isSame(a: PlacedFile, b: PlacedFile): boolean {
  const mode = (file: PlacedFile): number | undefined => (file.kind === 'symlink' ? undefined : file.mode)
  return (
    hasContent(a) &&
    a.kind === b.kind &&
    placedChecksum(a) === placedChecksum(b) &&
    mode(a) === mode(b) &&
    a.uid === b.uid &&
    a.gid === b.gid
  )
}

/**
 * Which links that enable a unit are to be made. One that an administrator has removed is not made again; and none, when that was
 * done to all of them.
 */
function enabledLinks(
  before: readonly PlacedFile[],
  view: HostView,
): (file: PlacedFile, was: PlacedFile | undefined) => boolean {
  const links = before.filter(({ role, kind }) => role === 'enablement' && kind === 'symlink')
  const isDisabled = links.length > 0 && links.every(({ path }) => view.kind(path) === undefined)
  return ({ path }, was) => !isDisabled && (was === undefined || view.kind(path) !== undefined)
}
