import type { ErrorCode } from './errors.ts'

/**
 * What operations tell while they run. `cli/output` alone turns these into words, so that a progress bar, plain lines
 * and JSON are one path through the code. A result is returned, never emitted.
 */
export type ForerunEvent =
  /** The manifest of the image is known. `layers` are all of its layers, base first; `size` in bytes as transferred. */
  | { type: 'image-resolved'; reference: string; digest: string; layers: { digest: string; size: number }[] }
  /** `kept`: bytes of it that an earlier pull had received. `sending`: it is pushed, not pulled. */
  | { type: 'layer-started'; digest: string; size: number; kept: number; sending?: true }
  /** `received` is the total so far, in bytes of the compressed blob. */
  | { type: 'layer-progress'; digest: string; received: number }
  /** `stored`: the layer was in the store already and nothing was fetched. */
  | { type: 'layer-finished'; digest: string; stored: boolean }
  /** The place that it is pushed to had the layer, took it from another of its repositories, or has been sent it. */
  | { type: 'layer-pushed'; digest: string; outcome: 'present' | 'mounted' | 'sent' }
  /** A request that is tried again after `delay` milliseconds. */
  | { type: 'retry'; url: string; reason: string; attempt: number; delay: number }
  /** A phase of a command has begun, in a user's words. */
  | { type: 'step'; message: string }
  /** Something the user should know, though nothing failed. */
  | { type: 'notice'; message: string }
  /** A change to the host: about to be made (its record is on the disk), made, or undone. `index` counts from 0. */
  | { type: 'change'; phase: 'recorded' | 'applied' | 'undone'; index: number; kind: string; subject: string }
  | { type: 'committed' }
  /** The changes are made; how the service fares decides whether they hold. */
  | { type: 'on-trial'; operation: string }
  /** What a killed command had left was finished or undone by this one. */
  | { type: 'recovered'; operation: string; outcome: 'finished' | 'undone' }
  /** A further error while a first one was being handled; the first one is what the command ends with. */
  | { type: 'undo-failed'; code: ErrorCode | undefined; message: string }
  /** For `--debug` only. `fields` hold no credential. */
  | { type: 'debug'; message: string; fields?: Record<string, unknown> }

export type Emit = (event: ForerunEvent) => void
