import { ForerunError } from '../../errors.ts'
import type { Deployment } from '../../store/deployment.ts'
import { tellJournal, type UpdateMessage } from '../update-journal.ts'

interface Step extends Pick<UpdateMessage, 'from' | 'to' | 'image'> {
  readonly name: string
}

/** Of an `UpdateResult`, as far as it is told. */
type Result = { readonly name: string } & (
  | (Omit<Step, 'from'> & { readonly outcome: 'updated'; readonly atBoot: boolean })
  | (Omit<Step, 'from'> & { readonly outcome: 'left'; readonly reason: string })
  | { readonly outcome: 'current' | 'failed' }
)

/** Has the journal tell what an update did; nothing where it changed nothing, or where a boot has yet to judge it. */
export async function tellResult(result: Result, { info }: Deployment): Promise<void> {
  const { name, outcome } = result
  const about = { container: name, from: info.revision }
  if (outcome === 'updated' && !result.atBoot) {
    await tellJournal({ ...about, outcome, image: result.image, to: result.to })
  }
  if (outcome === 'left')
    await tellJournal({ ...about, outcome, image: result.image, to: result.to, reason: result.reason })
}

/** Has the journal tell why nothing came of an update. @throws the error. */
export async function tellFailed({ name, info }: Deployment, error: unknown): Promise<never> {
  if (error instanceof ForerunError && error.code !== 'interrupted') {
    const about = { container: name, image: info.image, from: info.revision, to: '' }
    await tellJournal({ ...about, outcome: 'failed', reason: error.message })
  }
  throw error
}

/** Has the journal tell that a service is back as it was. @throws the error. */
export async function tellPutBack({ name, ...about }: Step | { name: string }, error: unknown): Promise<never> {
  const known = { image: '', from: '', to: '', ...about }
  if (error instanceof ForerunError) {
    await tellJournal({ ...known, container: name, outcome: 'put back', reason: error.message })
  }
  throw error
}

export async function tellRolledBack({ name, image, from, to }: Step): Promise<void> {
  await tellJournal({ container: name, image, from, to, outcome: 'rolled back' })
}
