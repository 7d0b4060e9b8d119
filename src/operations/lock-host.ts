import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { acquireLock } from '../host/lock.ts'
import { removeStaging } from '../store/staging.ts'
import { recover } from '../transaction/transaction.ts'
import { changeHost } from './change-host.ts'
import type { Context } from './context.ts'

/**
 * What every command that changes something begins with: being root, having the lock, and finishing or undoing what a
 * killed command left. Release with `using`.
 *
 * @throws ForerunError `permission` for another user than root.
 */
export async function lockHost(context: Context): Promise<Disposable> {
  const { paths, emit, signal } = context
  if (process.geteuid?.() !== 0) {
    throw new ForerunError('permission', 'this needs root', { hint: 'Run it as root, for example with sudo.' })
  }
  const lock = await acquireLock(paths.lock, {
    signal,
    onWait: (holder) => emit({ type: 'notice', message: `Waiting for another forerun command (process ${holder}).` }),
  })
  try {
    await recover(paths.journal, changeHost(context), signal)
    removeStaging(paths.store)
    removeUnfinishedDeployments(paths.containers)
    return lock
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/** Prefix of folders, beside the deployments, that are not deployments yet or any more. */
export const unfinishedPrefix = '.forerun-'

function removeUnfinishedDeployments(containers: string): void {
  if (!existsSync(containers)) return
  for (const name of readdirSync(containers)) {
    if (name.startsWith(unfinishedPrefix)) rmSync(join(containers, name), { recursive: true, force: true })
  }
}
