import { type Container, noWord } from './catalogue.ts'

/** One of a container's two deployments. */
export interface Slot {
  /** `plain:v1` */
  readonly image: string
  readonly word: string
}

export interface ContainerState {
  readonly current: Slot | null
  readonly other: Slot | null
  readonly running: boolean
  /** What it goes back to when an update for the next boot is given up. */
  readonly pending: ContainerState | null
}

export const absent: ContainerState = { current: null, other: null, running: false, pending: null }

/** What a command was asked to do with a container. */
export type Effect =
  | { readonly verb: 'install'; readonly image: string; readonly word: string | undefined; readonly now: boolean }
  | { readonly verb: 'uninstall' }
  | {
      readonly verb: 'update'
      /** undefined: that which it has. */
      readonly image: string | undefined
      readonly word: string | undefined
      readonly noStart: boolean
      readonly atBoot: boolean
    }
  | { readonly verb: 'rollback' }

/** A moment at which a container has, or may have, changed. */
export interface Moment {
  /** Unix time in milliseconds, while the host was locked. */
  readonly time: number
  readonly container: Container
  /** `superseded`: an update that waited for the next boot was given up. */
  readonly effect: Effect | 'superseded'
  /** Not so of a command that was killed. */
  readonly isCertain: boolean
  /** For people. */
  readonly told: string
}

/**
 * The states that a container may be in after what happened to it, in the order in which it happened under the lock.
 *
 * @param start the states that it may have been in before.
 * @param onImpossible told of a success that none of the states before allow: something else was lost, or was seen for half.
 */
export function statesAfter(
  start: readonly ContainerState[],
  moments: readonly Moment[],
  onImpossible: (moment: Moment, before: readonly ContainerState[]) => void,
): ContainerState[] {
  let states = [...start]
  for (const moment of moments.toSorted((a, b) => a.time - b.time)) {
    const next = states.flatMap((state) => after(state, moment.effect) ?? [])
    if (next.length === 0 && moment.isCertain) onImpossible(moment, states)
    if (!moment.isCertain) states = [...states, ...states.flatMap((state) => gaveUp(state)), ...next]
    else if (next.length > 0) states = next
    states = distinct(states)
  }
  return states
}

/** Also a command that was killed may have given up first what waited for the next boot. */
function gaveUp(state: ContainerState): ContainerState[] {
  return state.pending === null ? [] : [state.pending]
}

function after(state: ContainerState, effect: Effect | 'superseded'): ContainerState | undefined {
  if (effect === 'superseded') return state.pending ?? undefined
  // What waits for the next boot is given up first, and that is a moment of its own.
  if (state.pending !== null) return undefined
  const { current, other, running } = state
  if (effect.verb === 'install') {
    if (current !== null) return undefined
    const { image, word = noWord, now } = effect
    return { current: { image, word }, other: null, running: now, pending: null }
  }
  if (current === null) return undefined
  if (effect.verb === 'uninstall') return absent
  if (effect.verb === 'rollback') return other === null ? undefined : { ...state, current: other, other: current }
  const { image = current.image, word = current.word, noStart, atBoot } = effect
  const isForBoot = atBoot && running
  return {
    current: { image, word },
    other: current,
    running: running && !noStart,
    pending: isForBoot ? state : null,
  }
}

export function distinct(states: readonly ContainerState[]): ContainerState[] {
  return [...new Map(states.map((state) => [JSON.stringify(state), state])).values()]
}
