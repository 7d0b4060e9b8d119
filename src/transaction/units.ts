import { lstatSync, mkdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Change, ChangeHost, RecordOf } from './change.ts'
import { isPresent, removeEmptyDirectory } from './files.ts'

/**
 * systemd reads its unit files anew: in its place among the changes, or, with `undone`, when all later changes have been
 * undone. A transaction that touches units has one of each around them.
 */
export function reload(when: 'applied' | 'undone'): Change {
  return {
    prepare: () => ({ kind: 'reload', when }),
    apply: (host) => (when === 'applied' ? host.reload() : undefined),
  }
}

export async function undoReload(record: RecordOf<'reload'>, host: ChangeHost): Promise<void> {
  if (record.when === 'undone') await host.reload()
}

/** How the runtime knows the container of a unit. */
export interface UnitContainer {
  readonly name: string
  readonly runtime: string
}

/** @throws ForerunError `unit` when systemd cannot load what was written for it. */
export function enable(unit: string, container: UnitContainer): Change {
  return {
    async prepare(host) {
      return { kind: 'enable', ...(await serviceState(unit, container, host)), before: await host.links(unit) }
    },
    async apply(host) {
      await host.requireLoaded(unit)
      await host.enable(unit)
    },
  }
}

/** A host that lost power once the unit was enabled has started it at its boot. */
export async function undoEnable(record: RecordOf<'enable'>, host: ChangeHost): Promise<void> {
  const before = new Set(record.before.map(({ path }) => path))
  for (const { path } of await host.links(record.unit)) {
    if (before.has(path)) continue
    rmSync(path, { force: true })
    if (/\.(?:wants|requires|upholds)$/.test(dirname(path))) removeEmptyDirectory(dirname(path))
  }
  await stopUnlessFound(record, host)
}

export function disable(unit: string, container: UnitContainer): Change {
  return {
    async prepare(host) {
      return { kind: 'disable', ...(await serviceState(unit, container, host)), before: await host.links(unit) }
    },
    apply: (host) => host.disable(unit),
  }
}

/** A host that lost power once the unit was disabled has not started it at its boot. */
export async function undoDisable(record: RecordOf<'disable'>, host: ChangeHost): Promise<void> {
  for (const { path, target } of record.before) {
    if (isPresent(path)) continue
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(target, path)
  }
  if (record.active) await host.start(record.unit)
}

/** Starts a unit; undoing lets the runtime forget a container that did not come up, too. */
export function start(unit: string, container: UnitContainer): Change {
  return {
    prepare: async (host) => ({ kind: 'start', ...(await serviceState(unit, container, host)) }),
    async apply(host) {
      host.emit({ type: 'step', message: `Starting ${unit}` })
      await host.start(unit)
    },
  }
}

export async function undoStart(record: RecordOf<'start'>, host: ChangeHost): Promise<void> {
  await stopUnlessFound(record, host)
}

/** Stops a unit; once committed, the runtime forgets the container too. */
export function stop(unit: string, container: UnitContainer): Change {
  return {
    prepare: async (host) => ({ kind: 'stop', ...(await serviceState(unit, container, host)) }),
    async apply(host) {
      host.emit({ type: 'step', message: `Stopping ${unit}` })
      await host.stop(unit)
    },
  }
}

/** Asked for even of a unit that is still active: an interrupted stop may go on behind our back, and this replaces it. */
export async function undoStop(record: RecordOf<'stop'>, host: ChangeHost): Promise<void> {
  if (record.active) await host.start(record.unit)
}

export async function finishStop(record: RecordOf<'stop'>, host: ChangeHost): Promise<void> {
  await host.deleteRuntimeState(record.runtime, record.container)
}

/** Mounts what a mount unit says. @throws ForerunError `unit` when systemd cannot load it, `systemd` when it cannot mount. */
export function mount(unit: string): Change {
  return {
    prepare: async (host) => ({ kind: 'mount', unit, active: await host.isActive(unit) }),
    async apply(host) {
      await host.requireLoaded(unit)
      await host.start(unit)
    },
  }
}

/** A host that lost power afterwards may have mounted it again at its boot. */
export async function undoMount(record: RecordOf<'mount'>, host: ChangeHost): Promise<void> {
  if (!record.active) await host.stop(record.unit)
}

export function unmount(unit: string): Change {
  return {
    prepare: async (host) => ({ kind: 'unmount', unit, active: await host.isActive(unit) }),
    apply: (host) => host.stop(unit),
  }
}

export async function undoUnmount(record: RecordOf<'unmount'>, host: ChangeHost): Promise<void> {
  if (record.active) await host.start(record.unit)
}

/** Makes what a tmpfiles file says. `absent` are the paths it makes that are not there yet, parents first. */
export function createTmpfiles(file: string, absent: readonly string[]): Change {
  return {
    prepare: () => ({ kind: 'create-tmpfiles', file, absent }),
    apply: (host) => host.createTmpfiles(file),
  }
}

/** Removes what was made; a directory that holds something by now is kept, with a notice. */
export function undoCreateTmpfiles(record: RecordOf<'create-tmpfiles'>, host: ChangeHost): void {
  for (const path of record.absent.toReversed()) {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined) continue
    if (!status.isDirectory()) unlinkSync(path)
    else removeEmptyDirectory(path)
    if (isPresent(path)) host.emit({ type: 'notice', message: `Kept ${path}, which is not empty.` })
  }
}

/** Once the transaction has been committed, removes what the lines of a tmpfiles file say is to be removed. */
export function removeTmpfiles(file: string): Change {
  return { prepare: () => ({ kind: 'remove-tmpfiles', file }), apply() {} }
}

export async function finishRemoveTmpfiles(record: RecordOf<'remove-tmpfiles'>, host: ChangeHost): Promise<void> {
  if (isPresent(record.file)) await host.removeTmpfiles(record.file)
}

async function serviceState(unit: string, container: UnitContainer, host: ChangeHost) {
  return { unit, active: await host.isActive(unit), runtime: container.runtime, container: container.name }
}

async function stopUnlessFound(record: RecordOf<'enable' | 'start'>, host: ChangeHost): Promise<void> {
  if (record.active) return
  await host.stop(record.unit)
  await host.deleteRuntimeState(record.runtime, record.container)
}
