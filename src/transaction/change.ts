import type { Emit } from '../events.ts'

/**
 * One change to the host. `prepare` looks and refuses, changing nothing; its record, which holds all that undoing
 * needs, is on the disk before `apply` begins.
 */
export interface Change {
  prepare(host: ChangeHost): Promise<ChangeRecord> | ChangeRecord
  apply(host: ChangeHost): Promise<void> | void
}

/** What the journal holds of a change: JSON, and enough to undo or finish it without the process that made it. */
export type ChangeRecord =
  | { readonly kind: 'write-file'; readonly path: string; readonly temporary: string; readonly sha256: string }
  | { readonly kind: 'make-symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'make-directory'; readonly path: string; readonly made: boolean }
  | { readonly kind: 'remove-file'; readonly path: string; readonly aside: string }
  | { readonly kind: 'remove-empty'; readonly paths: readonly string[] }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string; readonly discard: boolean }
  | { readonly kind: 'reload'; readonly when: 'applied' | 'undone' }
  | (ServiceRecord<'enable'> & { readonly before: readonly UnitLink[] })
  | (ServiceRecord<'disable'> & { readonly before: readonly UnitLink[] })
  | ServiceRecord<'start'>
  | ServiceRecord<'stop'>
  | { readonly kind: 'mount'; readonly unit: string; readonly active: boolean }
  | { readonly kind: 'unmount'; readonly unit: string; readonly active: boolean }
  | { readonly kind: 'create-tmpfiles'; readonly file: string; readonly absent: readonly string[] }
  | { readonly kind: 'remove-tmpfiles'; readonly file: string }

/** `container` is what the runtime calls it; `active` is how the unit was found. */
interface ServiceRecord<Kind extends 'enable' | 'disable' | 'start' | 'stop'> {
  readonly kind: Kind
  readonly unit: string
  readonly active: boolean
  readonly runtime: string
  readonly container: string
}

export type RecordOf<Kind extends ChangeRecord['kind']> = Extract<ChangeRecord, { kind: Kind }>

/** A symbolic link that enables a unit, or gives it another name. */
export interface UnitLink {
  readonly path: string
  readonly target: string
}

/** What changes need of systemd and of the runtime; `operations` gives them the real ones. */
export interface ChangeHost {
  reload(): Promise<void>
  enable(unit: string): Promise<void>
  disable(unit: string): Promise<void>
  /** Waits for the job; a raised signal ends the wait. */
  start(unit: string): Promise<void>
  /** Waits for the job, and leaves no failed state behind. */
  stop(unit: string): Promise<void>
  /** Active, or on the way there. */
  isActive(unit: string): Promise<boolean>
  /** Throws a ForerunError when systemd cannot load the unit. */
  requireLoaded(unit: string): Promise<void>
  links(unit: string): Promise<UnitLink[]>
  createTmpfiles(file: string): Promise<void>
  removeTmpfiles(file: string): Promise<void>
  /** Removes what a container that has stopped left in the runtime's state folder; nothing when there is nothing. */
  deleteRuntimeState(runtime: string, container: string): Promise<void>
  readonly emit: Emit
}

/** What a record is about, in a user's words. */
export function changeSubject(record: ChangeRecord): string {
  switch (record.kind) {
    case 'reload':
      return 'systemd'
    case 'enable':
    case 'disable':
    case 'start':
    case 'stop':
    case 'mount':
    case 'unmount':
      return record.unit
    case 'create-tmpfiles':
    case 'remove-tmpfiles':
      return record.file
    case 'remove-empty':
      return record.paths.join(', ')
    default:
      return record.path
  }
}
