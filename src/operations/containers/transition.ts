import { basename, dirname, join } from 'node:path'
import type { PlacedFile, PlacedRole } from '../../host/placed-file.ts'
import type { Change, UnitContainer } from '../../transaction/change.ts'
import type { HostView } from './host-view.ts'
import { placedChecksum } from './placed-files.ts'
import type { PlannedFile } from './plan-files.ts'

/** A deployment that is to come. */
export interface Arrival {
  readonly name: string
  /** Where it will lie: `…/containers/NAME.0`. */
  readonly folder: string
  /** Where it waits, complete. */
  readonly staged: string
  /** Directories before what is in them. */
  readonly files: readonly PlannedFile[]
  /** undefined for an image of host files only. */
  readonly service: ArrivingService | undefined
}

export interface ArrivingService {
  readonly unit: string
  readonly container: UnitContainer
  readonly mountUnit: string | undefined
  /** The deployment's own copy of the tmpfiles.d lines, and what of their paths is not there yet. */
  readonly tmpfiles: { readonly file: string; readonly absent: readonly string[] } | undefined
  /** What puts volumes into the folders that the tmpfiles.d lines make. */
  readonly volumes: readonly Change[]
  readonly start: boolean
}

/** A deployment that is to go. */
export interface Departure {
  readonly name: string
  /** Of all its slots. */
  readonly folders: readonly string[]
  readonly files: readonly PlacedFile[]
  /** What tmpfiles.d lines made; removed at the end if it holds nothing. Parents first. */
  readonly made: readonly string[]
  readonly service: DepartingService | undefined
}

export interface DepartingService {
  readonly unit: string
  readonly container: UnitContainer
  readonly mountUnits: readonly string[]
  /** The tmpfiles.d lines, of which some may say what is to be removed. */
  readonly tmpfiles: string
  /** Links that lead to its unit, though nobody recorded them. */
  readonly links: readonly string[]
}

/** From no deployment to one. */
export function arrivalChanges({ name, folder, staged, files, service }: Arrival, view: HostView): Change[] {
  const of = (...roles: PlacedRole[]): Change[] =>
    files.filter((file) => roles.includes(file.role) && !isThere(file, view)).map(placing)
  const link: Change = {
    kind: 'make-symlink',
    path: join(dirname(folder), name),
    target: basename(folder),
    uid: 0,
    gid: 0,
  }
  const deployment: Change[] = [{ kind: 'rename', path: staged, to: folder }, link]
  if (service === undefined) return [...deployment, ...of('host')]
  const { unit, container, mountUnit, tmpfiles, volumes, start } = service
  return [
    { kind: 'reload', when: 'undone' },
    ...deployment,
    ...of('host', 'drop-in'),
    // By the deployment's own copy: what is below /etc may be used by a boot before its use is in the journal.
    ...(tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', ...tmpfiles } as const]),
    ...volumes,
    ...of('tmpfiles', 'unit', 'mount'),
    { kind: 'reload', when: 'applied' },
    { kind: 'load', unit },
    ...(mountUnit === undefined ? [] : [{ kind: 'mount', unit: mountUnit } as const]),
    { kind: 'unit-state', unit, container },
    ...of('enablement'),
    { kind: 'reload', when: 'applied' },
    ...(start ? [{ kind: 'start', unit, container } as const] : []),
  ]
}

export interface DeparturePlan {
  readonly changes: readonly Change[]
  /** Host files that stay, since they have been modified. */
  readonly kept: readonly string[]
}

/**
 * From a deployment to none. The unit is disabled before it is stopped: a unit that its `[Install]` section made depend on
 * it, as docker may on flannel, then no longer does, and goes on running. What another container placed, too, stays for it.
 */
export function departureChanges(departure: Departure, view: HostView): DeparturePlan {
  const { name, folders, made, service } = departure
  const present = departure.files.filter(({ path }) => view.kind(path) !== undefined && !view.isOthers(path))
  const files = present.filter((file) => file.kind !== 'directory')
  const isModified = (file: PlacedFile): boolean =>
    file.role === 'host' && view.checksum(file.path) !== placedChecksum(file)
  const kept = files.filter(isModified).map(({ path }) => path)
  const going = files.filter((file) => !isModified(file))
  const removing = (list: readonly PlacedFile[]): Change[] => list.map(({ path }) => ({ kind: 'remove-file', path }))
  const folderPaths = present.filter(({ kind }) => kind === 'directory').map(({ path }) => path)
  const ending: Change[] = [
    ...(folders.length === 0 ? [] : [{ kind: 'remove-file', path: join(dirname(folders[0] ?? ''), name) } as const]),
    ...folders.map((path): Change => ({ kind: 'discard', path })),
    { kind: 'remove-empty', paths: [...folderPaths, ...made.filter((path) => !view.isOthers(path))] },
  ]
  if (service === undefined) return { changes: [...removing(going), ...ending], kept }
  const { unit, container, mountUnits, tmpfiles } = service
  const isLink = ({ role }: PlacedFile): boolean => role === 'enablement'
  const links = new Set([...going.filter(isLink).map(({ path }) => path), ...service.links])
  const changes: Change[] = [
    { kind: 'reload', when: 'undone' },
    { kind: 'unit-state', unit, container },
    ...[...links].map((path): Change => ({ kind: 'remove-file', path })),
    { kind: 'reload', when: 'applied' },
    { kind: 'stop', unit, container },
    ...mountUnits.map((mountUnit): Change => ({ kind: 'unmount', unit: mountUnit })),
    ...(tmpfiles === '' ? [] : [{ kind: 'remove-tmpfiles', lines: tmpfiles } as const]),
    ...removing(going.filter((file) => !isLink(file))),
    ...ending,
    { kind: 'reload', when: 'applied' },
  ]
  return { changes, kept }
}

/** What another container placed, or a folder that was made meanwhile; a unit in the way is for the change to refuse. */
function isThere({ role, kind, path }: PlannedFile, view: HostView): boolean {
  return (role === 'host' || kind === 'directory') && view.kind(path) !== undefined
}

function placing(file: PlannedFile): Change {
  const { path, uid, gid } = file
  if (file.kind === 'directory') return { kind: 'make-directory', path, mode: file.mode, uid, gid }
  if (file.kind === 'symlink') return { kind: 'make-symlink', path, target: file.target, uid, gid }
  return { kind: 'write-file', path, content: file.content, mode: file.mode, uid, gid }
}
