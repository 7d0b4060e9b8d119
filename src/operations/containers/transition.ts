import { basename, dirname, join } from 'node:path'
import type { PlacedFile, PlacedRole } from '../../host/placed-file.ts'
import type { Change, UnitContainer } from '../../transaction/change.ts'
import { placedChecksum } from '../placed-files.ts'
import { fileChanges, placing } from './file-changes.ts'
import { type HostView, viewAfter } from './host-view.ts'
import type { PlannedFile } from './plan-files.ts'

/** A deployment that is to come. */
export interface Arrival {
  readonly name: string
  /** Where it will lie: `…/containers/NAME.0`. */
  readonly folder: string
  /** Where it waits, complete; undefined for one that lies in its folder already. */
  readonly staged: string | undefined
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
  /** Whether the one that runs from the deployment before goes on meanwhile: to be restarted, or until the next boot. */
  readonly goesOn: boolean
  /** Of a writable root that keeps what was written: where that is to be. */
  readonly keptRoot: string | undefined
}

/** A deployment that is to go. */
export interface Departure {
  readonly name: string
  /** Of the one in use: `…/containers/NAME.0`. */
  readonly folder: string
  /** Of all its slots. */
  readonly folders: readonly string[]
  readonly files: readonly PlacedFile[]
  /** What tmpfiles.d lines made; removed at the end if it holds nothing. Parents first. */
  readonly made: readonly string[]
  /** What was chosen of its updates, where that goes, too. */
  readonly updateSettings?: string | undefined
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
  /** Whether it runs, or is about to. */
  readonly active: boolean
  /** Of a writable root that keeps what was written: where that is. */
  readonly keptRoot: string | undefined
}

/** A container goes from one deployment, or none, to another, or none. */
export interface Transition {
  readonly from?: Departure
  readonly to?: Arrival
}

export interface TransitionPlan {
  readonly changes: readonly Change[]
  /** Files on the host that stay as they are, since they have been modified. */
  readonly kept: readonly string[]
  /** Where the content of modified files was saved that had to be replaced. */
  readonly saved: readonly string[]
}

/** The changes of a transition: to install (from none), to uninstall (to none), or from one deployment to the next. */
export function transitionChanges({ from, to }: Transition, view: HostView): TransitionPlan {
  if (from !== undefined && to !== undefined) return successionChanges(from, to, view)
  if (to !== undefined) return { changes: arrivalChanges(to, view), kept: [], saved: [] }
  if (from !== undefined) return { ...departureChanges(from, view), saved: [] }
  return { changes: [], kept: [], saved: [] }
}

/**
 * Several transitions as one list of changes. What one of them removes the others do not find, so what several of them placed goes
 * with the first; folders go when the files of all are gone.
 */
export function transitionsChanges(
  transitions: readonly Transition[],
  view: HostView,
): { readonly changes: readonly Change[]; readonly plans: readonly TransitionPlan[] } {
  let seen = view
  const plans = transitions.map((transition) => {
    const plan = transitionChanges(transition, seen)
    seen = viewAfter(plan.changes, seen)
    return plan
  })
  const all = plans.flatMap(({ changes }) => changes)
  const isFolder = ({ kind }: Change): boolean => kind === 'remove-empty'
  return { changes: [...all.filter((change) => !isFolder(change)), ...all.filter(isFolder)], plans }
}

/** From no deployment to one. */
function arrivalChanges({ name, folder, staged, files, service }: Arrival, view: HostView): Change[] {
  const of = (...roles: PlacedRole[]): Change[] =>
    files.filter((file) => roles.includes(file.role) && !isThere(file, view)).map(placing)
  const deployment: Change[] = [...arriving(staged, folder), { kind: 'make-symlink', ...currentLink(name, folder) }]
  if (service === undefined) return [...deployment, ...of('host')]
  const { unit, container, mountUnit, tmpfiles, volumes } = service
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
  ]
}

function arriving(staged: string | undefined, folder: string): Change[] {
  return staged === undefined ? [] : [{ kind: 'rename', path: staged, to: folder }]
}

/** The link to the deployment in use. */
function currentLink(name: string, folder: string) {
  return { path: join(dirname(folder), name), target: basename(folder), uid: 0, gid: 0 } as const
}

/**
 * From a deployment to none. The unit is disabled before it is stopped: a unit that its `[Install]` section made depend on
 * it, as docker may on flannel, then no longer does, and goes on running. What another container placed, too, stays for it.
 */
function departureChanges(departure: Departure, view: HostView): Pick<TransitionPlan, 'changes' | 'kept'> {
  const { name, folders, made, updateSettings, service } = departure
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
    ...(updateSettings === undefined ? [] : [{ kind: 'remove-file', path: updateSettings } as const]),
    ...folders.map((path): Change => ({ kind: 'discard', path })),
    { kind: 'remove-empty', paths: [...folderPaths, ...made.filter((path) => !view.isOthers(path))] },
  ]
  if (service === undefined) return { changes: [...removing(going), ...ending], kept }
  const { unit, container, mountUnits, tmpfiles } = service
  const isLink = ({ role }: PlacedFile): boolean => role === 'enablement'
  const links = new Set([...going.filter(isLink).map(({ path }) => path), ...service.links])
  const changes: Change[] = [
    { kind: 'unit-state', unit, container },
    { kind: 'reload', when: 'undone' },
    ...[...links].map((path): Change => ({ kind: 'remove-file', path })),
    { kind: 'reload', when: 'applied' },
    { kind: 'stop', unit, container },
    ...unmounting(mountUnits, 'applied'),
    ...(tmpfiles === '' ? [] : [{ kind: 'remove-tmpfiles', lines: tmpfiles } as const]),
    ...removing(going.filter((file) => !isLink(file))),
    ...ending,
    { kind: 'reload', when: 'applied' },
  ]
  return { changes, kept }
}

/**
 * From one deployment to the next, up to where the service can be restarted; until then it runs from the one before, whose root
 * is unmounted when all is committed. What is made beside it comes first: the folder, the mount of the next root, new
 * directories and volumes. Then the link, files and unit are switched, each in one step. A root that keeps what was written
 * has to be let go by the one before it is given to the next one: that service is stopped.
 */
function successionChanges(from: Departure, to: Arrival, view: HostView): TransitionPlan {
  const files = fileChanges(from, to, view)
  const others = from.folders.filter((path) => path !== from.folder)
  const replaced = to.staged === undefined ? [] : others.map((path): Change => ({ kind: 'discard', path }))
  const [before, after] = [from.service, to.service]
  const mount = after?.mountUnit
  const known = after ?? before
  const switched = [{ kind: 'replace-symlink', ...currentLink(to.name, to.folder) } as const, ...files.placed('host')]
  const emptied: Change[] = files.folders.length === 0 ? [] : [{ kind: 'remove-empty', paths: files.folders }]
  const plan = (changes: readonly Change[]): TransitionPlan => ({ changes, kept: files.kept, saved: files.saved })
  if (known === undefined) {
    return plan([...replaced, ...arriving(to.staged, to.folder), ...switched, ...files.removed('host'), ...emptied])
  }
  const { unit, container } = known
  const service = { unit, container }
  const moved = keptRootChanges(before, after)
  const hasToStop = before?.active === true && (after?.goesOn !== true || moved.length > 0)
  const old = (before?.mountUnits ?? []).filter((each) => each !== mount || moved.length > 0)
  const mounting: Change[] = mount === undefined ? [] : [...reloaded, { kind: 'mount', unit: mount }]
  return plan([
    { kind: 'reload', when: 'undone' },
    ...replaced,
    ...arriving(to.staged, to.folder),
    ...files.placed('mount'),
    ...(moved.length > 0 ? [] : mounting),
    ...(after?.tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', ...after.tmpfiles } as const]),
    ...(after?.volumes ?? []),
    { kind: 'unit-state', ...service },
    { kind: 'reload', when: 'undone' },
    ...(hasToStop ? [{ kind: 'stop', ...service } as const] : []),
    ...(moved.length > 0 ? [...unmounting(old, 'applied'), ...moved, ...mounting] : unmounting(old, 'finished')),
    ...switched,
    ...files.removed('enablement'),
    ...files.placed('drop-in', 'tmpfiles', 'unit'),
    ...files.placed('enablement'),
    ...files.removed('host', 'drop-in', 'tmpfiles', 'unit', 'mount'),
    ...emptied,
    ...reloaded,
    ...(after === undefined ? [] : [{ kind: 'load', unit } as const]),
  ])
}

const reloaded: readonly Change[] = [{ kind: 'reload', when: 'applied' }]

function keptRootChanges(before: DepartingService | undefined, after: ArrivingService | undefined): Change[] {
  if (before?.keptRoot === undefined || after?.keptRoot === undefined) return []
  return [{ kind: 'rename', path: before.keptRoot, to: after.keptRoot }]
}

function unmounting(units: readonly string[], when: 'applied' | 'finished'): Change[] {
  return units.map((unit) => ({ kind: 'unmount', unit, when }))
}

/** What another container placed, or a folder that was made meanwhile; a unit in the way is for the change to refuse. */
function isThere({ role, kind, path }: PlannedFile, view: HostView): boolean {
  return (role === 'host' || kind === 'directory') && view.kind(path) !== undefined
}
