import type { ChangeHost, ChangeKind, ChangeOf, RecordOf } from './change.ts'
import { removeMadePath } from './made-path.ts'

/**
 * systemd reads its unit files anew: in its place among the changes, or, with `undone`, when all later changes have been
 * undone. A transaction that touches units has one of each around them.
 */
export const reload: ChangeKind<'reload'> = {
  prepare: ({ when }) => ({ kind: 'reload', when }),
  async apply({ when }, _record, host) {
    if (when === 'applied') await host.reload()
  },
  async undo({ when }, host) {
    if (when === 'undone') await host.reload()
  },
}

/** Has systemd read a unit. @throws ForerunError `unit` when it cannot. */
export const load: ChangeKind<'load'> = {
  prepare: ({ unit }) => ({ kind: 'load', unit }),
  apply: ({ unit }, _record, host) => host.requireLoaded(unit),
}

/**
 * Changes nothing; undoing brings the service, and the units that require it, back to how they were found. Stands before links
 * that enable it are made or removed: a host that loses power afterwards starts it at its boot, or does not. Where its files
 * are changed under a running service, it stands before the reload that follows their being undone.
 */
export const unitState: ChangeKind<'unit-state'> = {
  async prepare(change, host) {
    const record = await serviceRecord<'unit-state'>(change, host)
    if (!record.active) return record
    const { unit } = change
    return { ...record, invocation: await host.invocation(unit), dependants: await host.dependants(unit) }
  },
  apply() {},
  async undo(record, host) {
    const { unit, active, invocation, dependants = [] } = record
    if (!active) return await stopService(record, host)
    // A service that was never stopped runs on.
    const isUntouched = (await host.isActive(unit)) && (await host.invocation(unit)) === invocation
    if (!isUntouched) await host.restart(unit)
    for (const dependant of dependants) if (!(await host.isActive(dependant))) await host.start(dependant)
  },
}

/**
 * Stops a unit; once committed, the runtime forgets the container too, unless it has been started since. What it was before is
 * for `unit-state` to bring back.
 */
export const stop: ChangeKind<'stop'> = {
  prepare: (change, host) => serviceRecord(change, host),
  async apply({ unit }, _record, host) {
    host.emit({ type: 'step', message: `Stopping ${unit}` })
    await host.stop(unit)
  },
  /** A stop that was interrupted goes on behind our back, and would end what is started meanwhile. */
  async undo({ unit, active }, host) {
    if (active) await host.stop(unit)
  },
  async finish({ unit, runtime, container }, host) {
    if (!(await host.isActive(unit))) await host.deleteRuntimeState(runtime, container)
  },
}

/** Mounts what a mount unit says. @throws ForerunError `unit` when systemd cannot load it, `systemd` when it cannot mount. */
export const mount: ChangeKind<'mount'> = {
  prepare: async ({ unit }, host) => ({ kind: 'mount', unit, active: await host.isActive(unit) }),
  async apply({ unit }, _record, host) {
    await host.requireLoaded(unit)
    await host.start(unit)
  },
  /** A host that lost power afterwards may have mounted it again at its boot. */
  async undo({ unit, active }, host) {
    if (!active) await host.stop(unit)
  },
}

/** In its place among the changes, or, with `finished`, once the transaction has been committed: what still uses it goes on. */
export const unmount: ChangeKind<'unmount'> = {
  prepare: async ({ unit, when }, host) => ({ kind: 'unmount', unit, when, active: await host.isActive(unit) }),
  async apply({ unit, when }, _record, host) {
    if (when === 'applied') await host.stop(unit)
  },
  async undo({ unit, when, active }, host) {
    if (active && when === 'applied') await host.start(unit)
  },
  async finish({ unit, when }, host) {
    if (when === 'finished') await host.stop(unit)
  },
}

/** Makes what a tmpfiles file says. `absent` are the paths it makes that are not there yet, parents first. */
export const createTmpfiles: ChangeKind<'create-tmpfiles'> = {
  prepare: ({ file, absent }) => ({ kind: 'create-tmpfiles', file, absent }),
  apply: ({ file }, _record, host) => host.createTmpfiles(file),
  /** Removes what was made; a directory that holds something by now is kept, with a notice. */
  undo({ absent }, host) {
    for (const path of absent.toReversed()) removeMadePath(path, host, { withContent: true })
  },
}

/** Once the transaction has been committed, removes what lines of tmpfiles.d(5) say is to be removed. */
export const removeTmpfiles: ChangeKind<'remove-tmpfiles'> = {
  prepare: ({ lines }) => ({ kind: 'remove-tmpfiles', lines }),
  apply() {},
  finish: ({ lines }, host) => host.removeTmpfiles(lines),
}

async function serviceRecord<Kind extends 'unit-state' | 'stop'>(
  { kind, unit, container }: ChangeOf<'unit-state' | 'stop'> & { readonly kind: Kind },
  host: ChangeHost,
): Promise<RecordOf<Kind>> {
  const { name, runtime } = container
  return { kind, unit, active: await host.isActive(unit), runtime, container: name } as RecordOf<Kind>
}

async function stopService(record: RecordOf<'unit-state'>, host: ChangeHost): Promise<void> {
  await host.stop(record.unit)
  await host.deleteRuntimeState(record.runtime, record.container)
}
