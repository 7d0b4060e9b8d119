import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { namesIn } from '../host/folder-entries.ts'
import { acquireLock, type Lock, type LockHolder, type LockRequest } from '../host/lock.ts'
import { removeTree } from '../host/remove-tree.ts'
import { removeStaging } from '../store/staging.ts'
import { recover } from '../transaction/transaction.ts'
import { removeStagedVolumes } from '../transaction/volumes.ts'
import { changeHost } from './change-host.ts'
import type { Context } from './context.ts'

/**
 * For commands that change containers: one at a time, in the order in which they came. Finishes or undoes first what a
 * killed command left. Who needs the store as well locks that before. Release with `using`.
 *
 * @param operation `install etcd`, for whoever waits.
 * @throws ForerunError `permission` for another user than root, `journal`.
 */
export async function lockHost(operation: string, context: Context): Promise<Disposable> {
  const { paths, signal } = context
  refuseOthers()
  const lock = await acquireLock(paths.hostLock, lockRequest(operation, 'exclusive', context))
  try {
    await recover(paths.journal, changeHost(context), signal)
    await removeUnfinishedDeployments(context)
    await removeStagedVolumes('/var/lib', context.emit)
    return lock
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/**
 * For commands that change the store (`exclusive`), or need it to stay what it is (`shared`). Removes first what a killed
 * import left. Release with `using`.
 *
 * @throws ForerunError `permission` for another user than root.
 */
export async function lockStore(operation: string, mode: LockRequest['mode'], context: Context): Promise<Lock> {
  const { paths } = context
  refuseOthers()
  const lock = await acquireLock(paths.storeLock, lockRequest(operation, mode, context))
  try {
    if (mode === 'exclusive') removeStaging(paths.store)
    return lock
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/**
 * For commands that only read: nothing half done is taken for damage. Where the lock cannot be written, no other command can
 * change anything either.
 */
export async function lockForReading(operation: string, context: Context): Promise<Disposable> {
  const locks = new DisposableStack()
  try {
    for (const folder of [context.paths.storeLock, context.paths.hostLock]) {
      locks.use(await acquireLock(folder, lockRequest(operation, 'shared', context)))
    }
    return locks
  } catch (error) {
    locks.dispose()
    if (!['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return new DisposableStack()
  }
}

/** Prefix of folders, beside the deployments, that are not deployments yet or any more. */
export const unfinishedPrefix = '.forerun-'

function refuseOthers(): void {
  if (process.geteuid?.() === 0) return
  throw new ForerunError('permission', 'this needs root', { hint: 'Run it as root, for example with sudo.' })
}

function lockRequest(operation: string, mode: LockRequest['mode'], { signal, emit }: Context): LockRequest {
  const onWait = (holder: LockHolder): void => emit({ type: 'notice', message: waitingFor(holder) })
  return { mode, operation, signal, onWait }
}

function waitingFor({ operation, process, since }: LockHolder): string {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - since))
  return `Waiting for 'forerun ${operation}' (process ${process}), which began ${seconds} s ago.`
}

async function removeUnfinishedDeployments({ paths, emit }: Context): Promise<void> {
  for (const name of namesIn(paths.containers)) {
    if (!name.startsWith(unfinishedPrefix)) continue
    const path = join(paths.containers, name)
    const left = await removeTree(path)
    if (left !== undefined) emit({ type: 'notice', message: `${path} ${left}` })
  }
}
