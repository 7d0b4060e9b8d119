import { ForerunError } from '../errors.ts'
import { run } from '../host/run.ts'
import { applyTmpfiles, removeTmpfiles } from '../systemd/tmpfiles.ts'
import type { ChangeHost } from '../transaction/change.ts'
import { isPresent } from '../transaction/files.ts'
import { armBootRecovery, disarmBootRecovery } from './boot-recovery.ts'
import type { Context } from './context.ts'
import { filesOfOthers } from './files-of-others.ts'
import { refuseOtherSlice } from './unit-slice.ts'

/** The real systemd and runtime, as transactions see them. Connects when first needed. */
export function changeHost(context: Context): ChangeHost {
  const { emit, signal } = context
  return {
    emit,
    reload: async () => (await context.manager()).reload(),
    start: async (unit) => (await context.manager()).start(unit),
    restart: async (unit) => (await context.manager()).restart(unit),
    async stop(unit) {
      const manager = await context.manager()
      await manager.stop(unit)
      await manager.resetFailed(unit)
    },
    async isActive(unit) {
      const { activeState } = await (await context.manager()).status(unit)
      return activeState !== 'inactive' && activeState !== 'failed' && activeState !== 'deactivating'
    },
    invocation: async (unit) => (await (await context.manager()).status(unit)).invocation,
    dependants: async (unit) => (await context.manager()).dependants(unit),
    async requireLoaded(unit) {
      const { loadState, loadError, slice } = await (await context.manager()).status(unit)
      if (loadState === 'loaded') return refuseOtherSlice(unit, slice, context.paths)
      throw new ForerunError('unit', `systemd cannot load ${unit}: ${loadError || loadState}`, {
        hint: "Look at the image's /exports/service.template with --display; its author has to mend it.",
      })
    },
    async createTmpfiles(file) {
      for (const message of await applyTmpfiles(file, { signal })) emit({ type: 'notice', message })
    },
    async removeTmpfiles(lines) {
      for (const message of await removeTmpfiles(lines)) emit({ type: 'notice', message })
    },
    async deleteRuntimeState(runtime, container) {
      if (!isPresent(runtime)) return
      const { status, stderr } = await run(runtime, ['delete', '--force', container], { timeout: 60_000 })
      if (status !== 0) emit({ type: 'debug', message: `${runtime} delete --force ${container}: ${stderr.trim()}` })
    },
    isOthers: (path, containers) => filesOfOthers(containers, context).has(path),
    recoverAtBoot: (isWanted) => (isWanted ? armBootRecovery : disarmBootRecovery)(context.paths),
  }
}
