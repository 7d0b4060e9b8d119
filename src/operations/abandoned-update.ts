import { ForerunError } from '../errors.ts'
import { type DeploymentInfo, otherDeployment, readDeployment, readInfo } from '../store/deployment.ts'
import type { OpenTrial } from '../transaction/transaction.ts'
import type { Context } from './context.ts'
import { tellJournal, type UpdateMessage } from './update-journal.ts'

type Message = Omit<UpdateMessage, 'outcome'> & { readonly isRollback: boolean }

/**
 * What there is to tell of an update or a rollback whose process is gone, as long as it is on trial; undefined for another change.
 * What cannot be read any more is left out.
 */
export function abandonedMessage({ operation, trial }: OpenTrial, { paths }: Context): Message | undefined {
  const { container, candidate } = trial
  const isRollback = operation.title.startsWith('rollback ')
  if (candidate === undefined && !isRollback) return undefined
  const after = known(() => readDeployment(paths.containers, container))
  const before = known(() => {
    if (candidate !== undefined) return readInfo(candidate.before)
    return after && otherDeployment(paths.containers, after)?.info
  })
  const { image = '', revision: to = '' }: Partial<DeploymentInfo> = after?.info ?? {}
  return { container, image, from: before?.revision ?? '', to, isRollback }
}

/** @param reason why it was taken back; undefined when it holds. */
export async function tellAbandoned(message: Message | undefined, reason: string | undefined): Promise<void> {
  if (message === undefined) return
  const { isRollback, ...about } = message
  if (reason !== undefined) await tellJournal({ ...about, outcome: 'put back', reason })
  else await tellJournal({ ...about, outcome: isRollback ? 'rolled back' : 'updated' })
}

function known<Value>(read: () => Value | undefined): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof ForerunError) return undefined
    throw error
  }
}
