import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { run } from '../host/run.ts'
import { applyTmpfiles, removeTmpfiles } from '../systemd/tmpfiles.ts'
import { unitLinks } from '../systemd/unit-links.ts'
import type { ChangeHost } from '../transaction/change.ts'
import { isPresent } from '../transaction/files.ts'
import type { Context } from './context.ts'

/** The real systemd and runtime, as transactions see them. Connects when first needed. */
export function changeHost(context: Context): ChangeHost {
  const { emit, paths, signal } = context
  return {
    emit,
    reload: async () => (await context.manager()).reload(),
    async enable(unit) {
      await (await context.manager()).enable(unit)
    },
    async disable(unit) {
      // systemd refuses to disable a unit whose file somebody has removed.
      if (isPresent(join(paths.units, unit))) await (await context.manager()).disable(unit)
      else for (const { path } of await unitLinks(unit, paths.units)) rmSync(path)
    },
    start: async (unit) => (await context.manager()).start(unit),
    async stop(unit) {
      const manager = await context.manager()
      await manager.stop(unit)
      await manager.resetFailed(unit)
    },
    async isActive(unit) {
      const { activeState } = await (await context.manager()).status(unit)
      return activeState !== 'inactive' && activeState !== 'failed' && activeState !== 'deactivating'
    },
    async requireLoaded(unit) {
      const { loadState, loadError } = await (await context.manager()).status(unit)
      if (loadState === 'loaded') return
      throw new ForerunError('unit', `systemd cannot load ${unit}: ${loadError || loadState}`, {
        hint: "Look at the image's /exports/service.template with --display; its author has to mend it.",
      })
    },
    links: (unit) => unitLinks(unit, paths.units),
    async createTmpfiles(file) {
      for (const message of await applyTmpfiles(file, { signal })) emit({ type: 'notice', message })
    },
    async removeTmpfiles(file) {
      for (const message of await removeTmpfiles(file)) emit({ type: 'notice', message })
    },
    async deleteRuntimeState(runtime, container) {
      if (!isPresent(runtime)) return
      const { status, stderr } = await run(runtime, ['delete', '--force', container])
      if (status !== 0) emit({ type: 'debug', message: `${runtime} delete --force ${container}: ${stderr.trim()}` })
    },
  }
}
