import type { ContainerRow } from '../../../operations/containers/list-containers.ts'

/** The state of a container, and in brackets what there is to say of it. */
export function stateWords({ state, detail, trial, pinned }: ContainerRow): string {
  const trialWords =
    trial === null
      ? ''
      : trial.awaits === 'boot'
        ? `${trial.operation}: from the next boot on`
        : `on trial: ${trial.operation}`
  // Why it is damaged is told in a notice.
  const told = [state === 'damaged' ? '' : detail, trialWords, pinned ? 'pinned' : ''].filter((words) => words !== '')
  return told.length === 0 ? state : `${state} (${told.join('; ')})`
}
