import type { Context } from '../context.ts'
import type { TransitionPlan } from './transition.ts'

/** Tells which files of the host were modified, and what becomes of them. */
export function tellKept({ kept, saved }: Pick<TransitionPlan, 'kept' | 'saved'>, { emit }: Context): void {
  for (const path of kept) {
    emit({ type: 'notice', message: `Will not replace ${path} as it was manually modified.` })
  }
  for (const path of saved) {
    emit({ type: 'notice', message: `Saved ${path}: what was modified there has to be replaced.` })
  }
}
