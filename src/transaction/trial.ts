/**
 * What a transaction is judged by that is not committed yet: its changes are made, and hold if the service comes up and stays
 * up. JSON, so that another process can judge it when the first one is gone.
 */
export interface Trial {
  readonly container: string
  readonly unit: string
  /** Since when, as Unix time in milliseconds. */
  readonly since: number
  /** The boot of the host (/proc/sys/kernel/random/boot_id) in which it began. */
  readonly boot: string
  /** `start`: of the service, by whoever began it. `boot`: the next one, which starts it. */
  readonly awaits: 'start' | 'boot'
  /** Milliseconds that the service has to stay up. */
  readonly settle: number
  /** Which start of the unit ran before: one that has not been started since has not been tried. */
  readonly invocation: string
  /** Units that require it and were active: they have to be so again. */
  readonly dependants: readonly string[]
  /** A version that is not to be tried again without being asked for, and the deployment that remembers it. */
  readonly candidate?: { readonly manifest: string; readonly before: string } | undefined
}

/** `undecided`: it may still come up, or has not been up for long enough. */
export type Verdict =
  | { readonly outcome: 'up' }
  | { readonly outcome: 'undecided' }
  /** `reason` in words that follow the unit's name; the journal of `culprit` tells more. */
  | {
      readonly outcome: 'down'
      readonly reason: string
      readonly culprit: string
      /** Whether the service was never started with what is new: that says nothing against it. */
      readonly isUntried?: boolean
    }
