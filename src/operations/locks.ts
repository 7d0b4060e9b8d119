import { ForerunError } from '../errors.ts'
import { acquireLock, type Lock, type LockHolder, type LockRequest } from '../host/lock.ts'
import { removeStaging } from '../store/staging.ts'
import type { Context } from './context.ts'

/**
 * The lock of the host, and nothing else: for who goes on with what it began. Everybody else takes `lockHost`.
 *
 * @throws ForerunError `permission` for another user than root, `locked`, `interrupted`.
 */
export async function acquireHostLock(operation: string, context: Context): Promise<Lock> {
  refuseOthers()
  return await acquireLock(context.paths.hostLock, lockRequest(operation, 'exclusive', context))
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

function refuseOthers(): void {
  if (process.geteuid?.() === 0) return
  throw new ForerunError('permission', 'this needs root', { hint: 'Run it as root, for example with sudo.' })
}

function lockRequest(
  operation: string,
  mode: LockRequest['mode'],
  { signal, emit, lockTimeout: timeout }: Context,
): LockRequest {
  const onWait = (holder: LockHolder): void => emit({ type: 'notice', message: waitingFor(holder) })
  return { mode, operation, signal, onWait, timeout }
}

function waitingFor({ operation, process, since }: LockHolder): string {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - since))
  return `Waiting for 'forerun ${operation}' (process ${process}), which began ${seconds} s ago.`
}
