import { abandonedTrials } from '../transaction/transaction.ts'
import { changeHost } from './change-host.ts'
import type { Context } from './context.ts'
import { lockHost } from './lock-host.ts'
import { isPending, judgeAbandoned } from './trials.ts'

export interface JudgedTrial {
  /** `update etcd`. */
  readonly operation: string
  readonly container: string
  /** Whether its changes hold, and the service is up with them or without. */
  readonly outcome: 'confirmed' | 'taken back' | 'down'
}

/**
 * Ends what commands left that were killed, or that left their judgement to this boot: finishes, undoes, and waits for services
 * that are on trial.
 *
 * @throws ForerunError `systemd`, `interrupted`.
 */
export async function recoverHost(context: Context): Promise<JudgedTrial[]> {
  const { journal } = context.paths
  const host = await lockHost('recover', context)
  const open = abandonedTrials(journal, changeHost(context)).filter((each) => {
    if (!isPending(each.trial)) return true
    each[Symbol.dispose]()
    return false
  })
  host[Symbol.dispose]()
  const judged: JudgedTrial[] = []
  for (const each of open) {
    const { operation, trial } = each
    judged.push({
      operation: operation.title,
      container: trial.container,
      outcome: await judgeAbandoned(each, context),
    })
  }
  return judged
}
