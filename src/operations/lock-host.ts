import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import type { Operation } from '../transaction/journal.ts'
import { readTrials, recover } from '../transaction/transaction.ts'
import type { Trial } from '../transaction/trial.ts'
import { changeHost } from './change-host.ts'
import type { Context } from './context.ts'
import { acquireHostLock } from './locks.ts'
import { endAbandoned, judgeAbandoned } from './trials.ts'
import { removeUnfinished } from './unfinished.ts'

/**
 * For commands that change containers: one at a time, in the order in which they came. Finishes or undoes first what a
 * killed command left. Who needs the store as well locks that before. Release with `using`.
 *
 * @param operation `install etcd`, for whoever waits.
 * @param containers those that are to be changed: what is on trial of them is judged first.
 * @param options.onGivenUp told of an update of one that waited for the next boot, before it is taken back.
 * @throws ForerunError `permission` for another user than root, `journal`.
 */
export async function lockHost(
  operation: string,
  context: Context,
  containers: readonly string[] = [],
  options: { readonly onGivenUp?: (trial: Trial) => void } = {},
): Promise<Disposable> {
  const { paths, signal, lockTimeout = Number.POSITIVE_INFINITY } = context
  const end = performance.now() + lockTimeout
  let isTold = false
  for (;;) {
    const lock = await acquireHostLock(operation, context)
    const others = new DisposableStack()
    others.use(lock)
    try {
      await recover(paths.journal, changeHost(context), signal)
      using own = await endAbandoned(containers, context, options)
      const trial = readTrials(paths.journal).find((each) => containers.includes(each.trial.container))
      if (trial === undefined) {
        await removeUnfinished(context)
        return others.move()
      }
      if (performance.now() >= end) throw notJudged(trial.operation, lockTimeout)
      if (!isTold)
        context.emit({ type: 'notice', message: `Waiting until '${trial.operation.title}' has been judged.` })
      isTold = true
      others.dispose()
      await (own === undefined ? pause(context) : judgeAbandoned(own, context))
    } catch (error) {
      others.dispose()
      throw error
    }
  }
}

function notJudged({ title }: Operation, timeout: number): ForerunError {
  return new ForerunError('locked', `'${title}' was not judged within ${timeout / 1000} s`, {
    hint: 'Try it again later, or wait longer with --lock-timeout.',
  })
}

/** Milliseconds between looks. */
const interval = 100

async function pause({ signal }: Context): Promise<void> {
  await sleep(interval, undefined, { signal }).catch((cause) => {
    throw new ForerunError('interrupted', 'interrupted while waiting for another forerun command', { cause })
  })
}
